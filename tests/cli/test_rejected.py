"""`percolator rejected` as a process: which events were rejected, from a gateway and from NATS."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import nats
import pytest

from percolator.jetstream.stream import definition
from tests.cli.program import Program, Running, Serving, free_address, get
from tests.cli.terminal import terminal
from tests.gateway import event_json

TRADE, PRICE, FUNDING = (f"percolator.{kind}.SOL" for kind in ("trade", "price", "funding"))


def publish(url: str, subject: str, payload: bytes, name: str | None = None) -> int:
    """Publish any payload, as a publisher of another's would; return its seq."""

    async def run() -> int:
        client = await nats.connect(url)
        try:
            headers = None if name is None else {"Nats-Msg-Id": name}
            return (await client.jetstream().publish(subject, payload, headers=headers)).seq
        finally:
            await client.close()

    return asyncio.run(run())


def kept(serving: Serving, count: int) -> list[dict[str, Any]]:
    """Wait until a gateway has kept some rejections, and return them."""
    while len(found := get(f"{serving.http}/rejected")["rejected"]) < count:
        pass
    return list(found)


@contextmanager
def following(percolator: Program, *args: str) -> Iterator[Running]:
    """Follow rejections, once the command waits for them."""
    with percolator.start("rejected", "--follow", *args) as running:
        running.complaint("waiting")
        yield running


class Mistake(NamedTuple):
    """What a publisher sends, the reason that it is told, and words of the sentence."""

    subject: str
    payload: bytes
    reason: str
    words: tuple[str, ...]


MISTAKES = {
    "no price": Mistake(
        TRADE,
        b'{"side":"long","size":"1","timestamp":1234567890123}',
        "invalid_price",
        ("price is missing: it must be a number of USD greater than 0",),
    ),
    "a price of 0 for unknown": Mistake(
        TRADE,
        event_json("trade", price=0),
        "invalid_price",
        ("price is 0: send the real value, or leave the event out if it is not known",),
    ),
    "a size that is a number": Mistake(
        TRADE,
        event_json("trade", size=1),
        "invalid_size",
        ('size must be a string: "1", got the number 1',),
    ),
    "a rate that is a number": Mistake(
        FUNDING,
        event_json("funding", rate=0.0001),
        "invalid_rate",
        ('rate must be a string: "0.0001", got the number 0.0001',),
    ),
    "seconds": Mistake(
        PRICE,
        event_json("price", timestamp=1_700_000_000),
        "invalid_timestamp",
        ("timestamp must be in Unix milliseconds: 1700000000 looks like seconds",),
    ),
    "no JSON": Mistake(PRICE, b"1.5", "invalid_event", ()),
    "another market": Mistake(PRICE, event_json("price", slab="BTC"), "mismatch", ("slab",)),
    "a market with a dot": Mistake(
        f"{PRICE}.USD", event_json("price"), "invalid_subject", ("percolator.price.MARKET",)
    ),
}
"""A mistake that a publisher can make, and what it is told."""


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("way", ["gateway", "nats"])
def test_the_wrong_publisher_sees_a_sentence_and_the_right_one_its_event(
    percolator: Program, serving: Serving, nats_url: str, mistake: Mistake, way: str
) -> None:
    """From a gateway and from NATS, by the one documented command."""
    args = ["--nats-url", nats_url] if way == "nats" else []
    with (
        percolator.start("tail", "trades:SOL", "--json", "--url", serving.ws) as tail,
        following(percolator, "--json", *args) as watching,
    ):
        while not get(f"{serving.http}/ws/stats")["totalConnections"]:
            pass
        seq = publish(nats_url, mistake.subject, mistake.payload, "5sig:SOL:1")
        found = json.loads(watching.line())
        good = publish(nats_url, TRADE, event_json("trade"))
        assert json.loads(tail.line())["seq"] == good
    assert (found["seq"], found["subject"]) == (seq, mistake.subject)
    assert (found["reason"], found["id"]) == (mistake.reason, "5sig:SOL:1")
    assert found["message"]
    assert all(word in found["message"] for word in mistake.words)


@pytest.mark.parametrize("refused", [False, True])
def test_a_price_in_millionths_is_named(
    percolator: Program,
    nats_url: str,
    refused: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It is only reported, unless the gateway refuses such prices; the right one is shown."""
    flags = ["--reject-price-jump"] if refused else []
    with percolator.gateway("--max-price-jump", "100", *flags) as gateway:
        percolator.settings["port"] = gateway.ws.rpartition(":")[2]
        with following(percolator, "--json", "--nats-url", nats_url) as watching:
            publish(nats_url, PRICE, event_json("price", price=150))
            publish(nats_url, PRICE, event_json("price", price=150_000_000))
            found = json.loads(watching.line())
        assert found["reason"] == "price_jump"
        assert found["message"] == (
            "150000000 is 1,000,000 times the last price, 150: it looks like millionths; send USD"
        )
        assert found.get("accepted", False) is not refused
        shown = get(f"{gateway.http}/markets/SOL")["price"]["price"]
        assert shown == (150 if refused else 150_000_000)


SUBJECTS = {
    "percolator.trades.SOL": "no kind is named trades: publish on percolator.trade.SOL",
    "percolator.PRICE.SOL": "no kind is named PRICE: publish on percolator.price.SOL",
    "percolator.SOL.funding": "no kind is named SOL: publish on percolator.funding.SOL",
    "percolator.liquidations": (
        "no kind is named liquidations: publish on percolator.liquidation.MARKET"
    ),
    "percolator.trade": (
        "'percolator.trade' does not end in a market's name (letters, digits, _ and -, up to 64): "
        "publish on percolator.trade.MARKET"
    ),
}
"""A subject that a publisher can get wrong, and what it is told, if the stream takes it."""


def test_a_mistaken_subject_is_explained_if_the_stream_takes_it(
    percolator: Program, nats_url: str, stream_name: str
) -> None:
    """It is no fault: a newer version may know the kind."""

    async def create() -> None:
        client = await nats.connect(nats_url)
        wide = definition(stream_name).evolve(subjects=["percolator.>"])
        await client.jetstream().add_stream(wide)
        await client.close()

    asyncio.run(create())
    with percolator.gateway() as gateway, following(percolator, "--json", "--nats") as watching:
        reasons = []
        for subject, sentence in SUBJECTS.items():
            publish(nats_url, subject, event_json("trade"))
            found = json.loads(watching.line())
            assert (found["subject"], found["message"]) == (subject, sentence)
            reasons.append(found["reason"])
        stats = get(f"{gateway.http}/ws/stats")
    # Its kind is known, so it is an event, and not valid.
    assert reasons == [*["unknown_subject"] * 4, "invalid_subject"]
    assert stats["eventsRejected"] == 1
    assert stats["eventsUnknown"] >= 4


def test_the_newest_rejections_are_listed_and_the_newest_is_last(
    percolator: Program, serving: Serving, nats_url: str
) -> None:
    """One line each in a pipe, with all that helps to find the event."""
    seqs = [publish(nats_url, TRADE, b'{"side":"long"}', f"id-{number}") for number in range(3)]
    kept(serving, 3)
    done = percolator.run("rejected", "--limit", "2")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[2] for line in lines] == [str(seq) for seq in seqs[1:]]
    assert all(f"  {TRADE}  invalid_size  size is missing: " in line for line in lines)
    assert lines[1].endswith('{"side":"long"}  id id-2')


def test_rejections_are_filtered_by_market_and_by_reason(
    percolator: Program, serving: Serving, nats_url: str
) -> None:
    """If none is left, a sentence says so."""
    publish(nats_url, "percolator.price.SOL", b"{}")
    publish(nats_url, "percolator.price.BTC", b"{")
    kept(serving, 2)

    def subjects(*args: str) -> list[str]:
        out = percolator.run("rejected", "--json", *args).out
        return [json.loads(line)["subject"] for line in out.splitlines()]

    assert subjects("--slab", "SOL") == ["percolator.price.SOL"]
    assert subjects("--reason", "invalid_json") == ["percolator.price.BTC"]
    done = percolator.run("rejected", "--slab", "SOL", "--reason", "invalid_json")
    assert (done.code, done.out) == (0, "")
    assert "of market SOL and reason invalid_json (2 are of others)" in done.err


@pytest.mark.usefixtures("serving")
def test_without_a_rejection_a_sentence_says_so(percolator: Program) -> None:
    """On standard error: the list is empty."""
    done = percolator.run("rejected")
    assert (done.code, done.out) == (0, "")
    assert done.err == "percolator: no events were rejected since the gateway started\n"


def test_following_a_gateway_survives_its_restart_and_shows_nothing_twice(
    percolator: Program, nats_url: str
) -> None:
    """The new gateway rejects the same event again; it is the same epoch and seq."""
    with percolator.gateway() as gateway:
        port = gateway.ws.rpartition(":")[2]
        with following(percolator, "--json", "--url", gateway.ws) as watching:
            first = publish(nats_url, PRICE, b"{}")
            assert json.loads(watching.line())["seq"] == first
            gateway.running.signal(signal.SIGKILL)
            gateway.running.end()
            assert "retrying" in watching.complaint("no gateway answers")
            with percolator.gateway("--port", port) as again:
                kept(again, 1)
                watching.complaint("connected to")
                second = publish(nats_url, PRICE, b"{}")
                assert json.loads(watching.line())["seq"] == second
            watching.signal(signal.SIGINT)
            assert watching.end().code == 130


def test_two_gateways_report_an_event_and_a_watcher_shows_it_once(
    percolator: Program, serving: Serving, nats_url: str
) -> None:
    """On NATS, where each gateway reports what it reads."""
    with percolator.gateway() as other, following(percolator, "--json", "--nats") as watching:
        first = publish(nats_url, PRICE, b"{}")
        assert json.loads(watching.line())["seq"] == first
        kept(serving, 1)
        kept(other, 1)
        second = publish(nats_url, PRICE, b"{}")
        assert json.loads(watching.line())["seq"] == second
        watching.signal(signal.SIGINT)
        assert watching.end().out == ""


def test_what_is_no_report_is_ignored_on_nats(percolator: Program, nats_url: str) -> None:
    """Without accounts, anyone may publish there; an older gateway's report is shown."""

    async def forge() -> None:
        client = await nats.connect(nats_url)
        for body in (b"{", b"[]", b"\xff", b'{"seq":1}', b'{"seq":-1,"subject":"","reason":""}'):
            await client.publish("percolator.rejected", body)
        old = {"seq": 3, "subject": "percolator.price.SOL", "reason": "invalid_\x1b[31m"}
        await client.publish("percolator.rejected", json.dumps(old).encode())
        await client.close()

    with following(percolator, "--nats") as watching:
        asyncio.run(forge())
        assert watching.line() == ("--:--:--.--- seq 3  percolator.price.SOL  invalid_\\x1b[31m\n")


def test_following_nats_waits_for_a_nats_that_is_not_there(program: Program) -> None:
    """It says why, once, and goes on until Ctrl-C."""
    with program.start("rejected", "--nats-url", "nats://127.0.0.1:1") as watching:
        assert "retrying" in watching.complaint("nothing answers there")
        watching.signal(signal.SIGINT)
        done = watching.end()
    assert (done.code, done.out) == (130, "")


def test_following_a_gateway_waits_for_one_that_is_not_there(
    percolator: Program, nats_url: str
) -> None:
    """It says why, once; without --follow, that is an error."""
    address = free_address()
    args = ("rejected", "--url", address)
    assert percolator.run(*args).code == 1
    with percolator.start(*args, "--follow", "--json") as watching:
        assert "retrying" in watching.complaint("no gateway answers")
        with percolator.gateway("--port", address.rpartition(":")[2]):
            watching.complaint("no events were rejected since the gateway started; waiting")
            seq = publish(nats_url, PRICE, b"{}")
            assert json.loads(watching.line())["seq"] == seq
            watching.signal(signal.SIGINT)
            assert watching.end().code == 130


def test_a_gateway_with_a_stats_token_asks_for_it(percolator: Program) -> None:
    """The sentence names the setting; with the token, the list is shown."""
    with percolator.gateway("--stats-token", "secret") as gateway:
        done = percolator.run("rejected", "--url", gateway.ws)
        assert (done.code, done.out) == (1, "")
        assert "PERCOLATOR_STATS_TOKEN" in done.err
        args = ("rejected", "--url", gateway.ws)
        assert percolator.run(*args, env={"PERCOLATOR_STATS_TOKEN": "secret"}).code == 0


def test_a_gateway_and_nats_at_once_are_wrong_usage(program: Program) -> None:
    """One of them is asked."""
    done = program.run("rejected", "--nats", "--url", "ws://127.0.0.1:1")
    assert (done.code, done.out) == (2, "")
    assert "leave one of them out" in done.err


def test_a_rejection_fits_a_terminal(percolator: Program, serving: Serving, nats_url: str) -> None:
    """The sentence is wrapped, and the payload cut, at 80 columns; Ctrl-C ends quietly."""
    publish(nats_url, TRADE, event_json("trade", price=-1, note="x" * 500), "5sig:SOL:1")
    kept(serving, 1)
    with terminal(percolator, "rejected", "--follow") as screen:
        screen.wait_for(rb"id 5sig:SOL:1")
        publish(nats_url, PRICE, b"{}")
        screen.wait_for(rb"percolator\.price\.SOL")
        screen.wait_for(rb"\{\}")
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
    lines = screen.shown.decode().splitlines()
    assert [line.count("…") for line in lines if '"side"' in line] == [1]
