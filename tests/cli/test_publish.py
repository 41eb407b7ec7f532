"""`percolator publish price|trade|funding` as processes, to a real JetStream."""

import asyncio
import json
import socket
import time
from typing import Any

import nats
import pytest

from tests.cli.program import Program, Serving, get


def stored(nats_url: str, stream: str, seq: int) -> tuple[str, dict[str, Any]]:
    """Return subject and event at a seq of a stream."""

    async def get() -> tuple[str, dict[str, Any]]:
        client = await nats.connect(nats_url)
        try:
            message = await client.jetstream().get_msg(stream, seq)
        finally:
            await client.close()
        assert message.data is not None
        assert message.subject is not None
        return message.subject, json.loads(message.data)

    return asyncio.run(get())


EVENTS: list[tuple[str, str, dict[str, Any]]] = [
    ("price SOL 1.5", "percolator.price.SOL", {"price": 1.5}),
    (
        "price SOL 1.5 --mark 1.51 --index 1.49",
        "percolator.price.SOL",
        {"price": 1.5, "markPrice": 1.51, "indexPrice": 1.49},
    ),
    (
        "trade SOL long 1000000 1.5",
        "percolator.trade.SOL",
        {"side": "long", "size": "1000000", "price": 1.5},
    ),
    ("funding SOL 0.0001", "percolator.funding.SOL", {"rate": "0.0001"}),
    ("funding SOL -0.0001", "percolator.funding.SOL", {"rate": "-0.0001"}),
    (
        "funding SOL 1e-7 --interval-hours 8 --next-funding-time 1800000000000",
        "percolator.funding.SOL",
        {"rate": "0.0000001", "intervalHours": 8.0, "nextFundingTime": 1_800_000_000_000},
    ),
    (
        "price SOL 1.5 --open-interest 250000000",
        "percolator.price.SOL",
        {"price": 1.5, "openInterest": "250000000"},
    ),
    ("market SOL --status retired", "percolator.market.SOL", {"status": "retired"}),
    (
        "market SOL --status active --display-name Solana --base-decimals 9 --tick-size 0.001",
        "percolator.market.SOL",
        {"status": "active", "displayName": "Solana", "baseDecimals": 9, "tickSize": "0.001"},
    ),
    ("funding SOL -2e-5", "percolator.funding.SOL", {"rate": "-0.00002"}),
]


@pytest.mark.usefixtures("serving")
def test_publish_stores_an_event_and_prints_its_subject_and_seq(
    percolator: Program, nats_url: str, stream_name: str
) -> None:
    """The event is as typed, with the current time as its timestamp."""
    for seq, (args, subject, event) in enumerate(EVENTS, start=1):
        before = time.time_ns() // 1_000_000
        done = percolator.run("publish", *args.split())
        after = time.time_ns() // 1_000_000
        assert (done.code, done.out, done.err) == (0, f"published {subject} seq {seq}\n", "")
        found_subject, found = stored(nats_url, stream_name, seq)
        assert found_subject == subject
        assert before <= found.pop("timestamp") <= after
        slab, kind = found.pop("slab"), found.pop("type")
        assert (f"percolator.{kind}.{slab}", found) == (subject, event)


def test_the_gateway_reads_a_published_event(percolator: Program, serving: Serving) -> None:
    """Its state contains the event."""
    percolator.run("publish", "price", "SOL", "1.5", "--timestamp", "1234567890123")
    markets: dict[str, Any] = {}
    while not markets:
        markets = get(f"{serving.http}/markets")["markets"]
    assert markets["SOL"]["price"]["timestamp"] == 1234567890123


@pytest.mark.usefixtures("serving")
def test_publish_prints_subject_and_seq_as_json(percolator: Program) -> None:
    """This is for scripts."""
    done = percolator.run("publish", "price", "SOL", "1.5", "--json")
    assert done.json == {"subject": "percolator.price.SOL", "seq": 1}


@pytest.mark.usefixtures("serving")
def test_an_event_with_the_id_of_another_one_is_not_published_again(percolator: Program) -> None:
    """The output says so; without --id, each event has an id of its own."""
    trade = ("publish", "trade", "SOL", "long", "1", "1.5")
    ids = ("--id", "signature:SOL:0")
    assert percolator.run(*trade, *ids).out == "published percolator.trade.SOL seq 1\n"
    assert percolator.run(*trade, *ids).out == "already published percolator.trade.SOL seq 1\n"
    done = percolator.run(*trade, *ids, "--json")
    assert done.json == {"subject": "percolator.trade.SOL", "seq": 1, "duplicate": True}
    assert percolator.run(*trade).out == "published percolator.trade.SOL seq 2\n"
    assert percolator.run(*trade).out == "published percolator.trade.SOL seq 3\n"


@pytest.mark.parametrize("message_id", ["", "two words", "a\nb", "ä", "x" * 257])
def test_an_impossible_id_is_reported_in_one_sentence(
    program: Program, capsys: pytest.CaptureFixture[str], message_id: str
) -> None:
    """A header of NATS could not carry it unchanged."""
    done = program.call(capsys, "publish", "price", "SOL", "1.5", "--id", message_id)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("percolator: --id must be 1 to 256 visible ASCII characters")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ("price SOL -1", "price must be a number of USD greater than 0, got -1.0"),
        ("price SOL 0", "price is 0: send the real value, or leave the event out"),
        ("price SOL nan", "price must be a number of USD greater than 0, got NaN"),
        ("price SOL much", 'price must be a number of USD greater than 0, got the string "much"'),
        ("price SOL 1 --mark -2", "markPrice must be a number of USD greater than 0, got -2.0"),
        ("price SO.L 1", '"SO.L" is not a valid market name'),
        ("price SOL 1 --timestamp -5", "timestamp must be a whole number of Unix milliseconds"),
        ("trade SOL buy 1 1", 'side must be "long" or "short", got "buy"'),
        ("trade SOL long -5 1", "size must be a whole number of base units"),
        ("trade SOL long 1.5 1", "size must be a whole number of base units"),
        ("trade SOL long 1 -1", "price must be a number of USD greater than 0, got -1.0"),
        (
            "funding SOL 1 --interval-hours x",
            "intervalHours must be a number of hours greater",
        ),
        ("price SOL 1 --open-interest -1", "openInterest must be a whole number of base units"),
        (
            "market SOL --status gone",
            'status must be "active" or "paused" or "retired", got "gone"',
        ),
        ("market SOL --status active --base-decimals x", "baseDecimals must be a whole number"),
        ("market SOL --status active --tick-size 0", "tickSize must be a decimal number greater"),
        ("market SOL", "missing option '--status'"),
        ("funding SOL little", 'rate must be a decimal number such as "0.0001"'),
    ],
)
def test_an_invalid_event_is_reported_in_one_sentence(
    program: Program, capsys: pytest.CaptureFixture[str], args: str, sentence: str
) -> None:
    """Nothing is sent; it does not even connect to NATS."""
    done = program.call(capsys, "publish", *args.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"percolator: {sentence}")
    assert done.err.count("\n") == 1


def test_publish_without_a_stream_says_to_start_a_gateway(percolator: Program) -> None:
    """It does not create the stream itself."""
    done = percolator.run("publish", "price", "SOL", "1.5")
    assert (done.code, done.out) == (1, "")
    assert "start a gateway once" in done.err


def test_publish_without_nats_fails_with_one_sentence(program: Program) -> None:
    """The error has the address, and the flag to change it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = program.run("publish", "price", "SOL", "1.5", "--nats-url", f"nats://127.0.0.1:{port}")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"percolator: NATS at nats://127.0.0.1:{port} cannot be reached")
    assert "--nats-url" in done.err
    assert done.err.count("\n") == 1
