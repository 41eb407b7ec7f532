"""The commands that ask a gateway, as processes, against one that is hostile or of another kind."""

import json
import re

import pytest

from percolator_cli import gateway as module
from tests.cli.hostile_answers import HEALTH, STATS, assert_harmless, assert_one_sentence
from tests.cli.program import Program
from tests.cli.terminal import terminal
from tests.hostile import (
    CONNECTED,
    ESCAPES,
    HARMFUL,
    SUBSCRIBED,
    TRADE,
    HostileGateway,
    close,
    endlessly,
    hostile_gateway,
    page,
    saying,
    text,
)


def test_stats_shows_the_text_of_a_gateway_without_its_escapes(
    program: Program, hostile: HostileGateway
) -> None:
    """Mark-up is shown as it is."""
    done = program.run("stats", "--url", hostile.http)
    assert_harmless(done)
    assert done.code == 0
    assert r"\x1b]0;taken\x07" in done.out
    assert "[red]SOL[/red]" in done.out
    assert ":smile:" in done.out


def test_the_live_screen_shows_the_text_of_a_gateway_without_its_escapes(
    program: Program, hostile: HostileGateway
) -> None:
    """In a terminal, where they would do harm; wide letters do not break the table."""
    args = ("stats", "--watch", "--interval", "0.1", "--url", hostile.http)
    with terminal(program, *args, columns=100, rows=40) as screen:
        screen.wait_for(rb"\\x1b\]0;taken")
        screen.wait_for(rb"\\x1b\]0;taken", after=len(screen.shown))
        screen.press_ctrl_c()
        assert screen.end() == 130
        assert screen.is_restored()
    shown = screen.shown.decode()
    assert not [harm for harm in HARMFUL if harm in shown and harm != "\r"]  # a terminal adds \r


def test_doctor_shows_the_text_of_a_gateway_without_its_escapes(
    program: Program, hostile: HostileGateway
) -> None:
    """A failed check may have any name and reason."""
    hostile.speak = saying(close("\x1b[31m\x07[red]", 4_000))
    done = program.run("doctor", "--url", hostile.http, "--nats-url", "nats://127.0.0.1:1")
    assert_harmless(done)
    assert done.code == 1
    assert r"health: \x1b]0;taken\x07" in done.out
    assert r"closed with 4000 \x1b[31m\x07[red]" in done.out


def test_tail_shows_the_text_of_a_gateway_without_its_escapes(
    program: Program, hostile: HostileGateway
) -> None:
    """Here it is a refusal, and the reason of a close."""
    args = ("tail", "trades:SOL", "--url", hostile.ws)
    done = program.run(*args)
    assert_one_sentence(done, "the gateway rejected the request", r"[red]\x1b]0;taken\x07")
    hostile.speak = saying(text(CONNECTED), close("\x1b[31m\x07"))
    with program.start(*args) as running:
        assert r"\x1b[31m\x07; retrying" in running.complaint("not connected")


@pytest.mark.parametrize("as_json", [False, True])
def test_tail_shows_every_valid_event(
    program: Program,
    as_json: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The largest timestamp, size and price, and the smallest."""
    events = (
        TRADE | {"timestamp": 2**53 - 1, "size": "9" * 38, "price": 1.7e308},
        TRADE | {"timestamp": 0, "seq": 2**53 - 1, "prev": 6, "price": 5e-324},
    )
    frames = [text(CONNECTED), text(SUBSCRIBED), *map(text, events)]
    with hostile_gateway(speak=saying(*frames)) as gateway:
        args = ["tail", "trades:SOL", "--count", "2", "--url", gateway.ws]
        done = program.run(*args, *(["--json"] if as_json else []))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == 2
    if as_json:
        assert json.loads(lines[0])["timestamp"] == 2**53 - 1
    else:
        assert "1.7e+308" in lines[0]
        assert str(2**53 - 1) in lines[0]


def test_tail_reconnects_after_an_invalid_message(program: Program) -> None:
    """It says why, and goes on."""
    with (
        hostile_gateway(speak=saying(text(CONNECTED), text({"type": "gap"}))) as gateway,
        program.start("tail", "trades:SOL", "--url", gateway.ws) as running,
    ):
        said = running.complaint("not connected")
        assert "the gateway sent an invalid message: gap without from" in said
        gateway.speak = saying(text(CONNECTED), text(SUBSCRIBED), text(TRADE))
        assert "trades:SOL" in running.line()


def test_tail_says_that_the_feed_of_the_gateway_is_stale(program: Program) -> None:
    """It is connected, but events may be missing."""
    stale = {"type": "feed", "state": "stale", "since": 1_234}
    live = {"type": "feed", "state": "live", "seq": 5}
    spoken = [text(each) for each in (CONNECTED, SUBSCRIBED, stale, live)]
    with (
        hostile_gateway(speak=saying(*spoken)) as gateway,
        program.start("tail", "trades:SOL", "--url", gateway.ws) as running,
    ):
        assert "the gateway no longer hears from NATS" in running.complaint("stale since")
        assert gateway.ws in running.complaint("connected to")


def test_tail_says_which_channel_is_refused(program: Program) -> None:
    """It goes on with the others."""
    full = {"type": "error", "code": "slab_limit", "message": "full", "channel": "trades:BTC"}
    spoken = [text(each) for each in (CONNECTED, full, SUBSCRIBED, TRADE)]
    args = ("tail", "trades:SOL", "trades:BTC", "--count", "1")
    with hostile_gateway(speak=saying(*spoken)) as gateway:
        done = program.run(*args, "--url", gateway.ws)
    lines = done.out.splitlines()
    assert sorted(line.split()[0] for line in lines if "refused" in line) == ["refused:"]
    assert "trades:SOL" in lines[-1]


MALFORMED = {
    "no JSON": page(b"<html>"),
    "no JSON, deep": page(b"[" * 100_000),
    "no JSON, compressed": page(b"\x1f\x8b" + bytes(10), "200 OK", "Content-Encoding: gzip"),
    "no JSON, a number": page(b"9" * 10_000),
    "the answer is not valid": page([]),
    "totalConnections is missing": page({}),
    "totalConnections is not valid": page(STATS | {"totalConnections": -1}),
    "totalConnections is not valid, a fraction": page(STATS | {"totalConnections": 1.5}),
    "connectionsPerSlab is not valid": page(STATS | {"connectionsPerSlab": 5}),
    "connectionsPerSlab.SOL is not valid": page(STATS | {"connectionsPerSlab": {"SOL": 2**63}}),
    "limits.maxGlobalConnections is not valid": page(
        STATS | {"limits": {"maxGlobalConnections": "x"}}
    ),
    "messagesPerSec is not valid": page(STATS | {"messagesPerSec": 1e300}),
    "uptimeSeconds is not valid": page(b'{"totalConnections":1,"uptimeSeconds":NaN}'),
    "nats.connected is missing": page(STATS | {"nats": {}}),
    "HTTP 302": page(b"", "302 Found", "Location: /ws/stats"),
    "HTTP 500": page(b"{}", f"500 {ESCAPES[:8]}"),
    "has more than": page(b" " * (module.MAX_BYTES + 1)),
}
COMMANDS = (
    ("stats",),
    ("loadtest", "--nats-url", "nats://127.0.0.1:1"),
    ("loadtest", "--verify-limits", "--nats-url", "nats://127.0.0.1:1"),
)


@pytest.mark.parametrize("why", MALFORMED)
def test_malformed_stats_are_reported_in_one_sentence(
    program: Program,
    hostile: HostileGateway,
    capsys: pytest.CaptureFixture[str],
    why: str,
) -> None:
    """By every command that reads them."""
    hostile.pages["/ws/stats"] = MALFORMED[why]
    says = f"{hostile.http} does not answer like a percolator gateway: "
    for command in COMMANDS:
        done = program.call(capsys, *command, "--url", hostile.http)
        assert_one_sentence(done, says, why.partition(", ")[0], "/ws/stats")
    args = ("--json", "--url", hostile.http, "--nats-url", "nats://127.0.0.1:1")
    done = program.call(capsys, "doctor", *args)
    assert_harmless(done)
    assert says in {find["name"]: find["text"] for find in done.json}["stats"]


@pytest.mark.parametrize(
    "reply",
    [
        {"type": "subscribed", "channels": [], "unknown": ["price:SOL", ESCAPES, *["x"] * 9_999]},
        {"type": "error", "code": "x", "message": ESCAPES, "channel": ESCAPES},
        {"type": "error", "code": "more_errors", "message": ESCAPES, "count": 2**53 - 1},
    ],
    ids=lambda reply: str(reply.get("code", "unknown")),
)
def test_the_reply_to_the_doctors_subscribe_is_shown_without_escapes(
    program: Program, hostile: HostileGateway, capsys: pytest.CaptureFixture[str], reply: object
) -> None:
    """There is at most one finding for each channel that it asked for."""
    hostile.speak = saying(text(CONNECTED), *[text(reply)] * 5)
    args = ("--url", hostile.http, "--nats-url", "nats://127.0.0.1:1")
    done = program.call(capsys, "doctor", "price:SOL", "--json", *args)
    assert_harmless(done)
    assert [find["name"] for find in done.json].count("channel") == 1
    assert_harmless(program.call(capsys, "doctor", "price:SOL", *args))


@pytest.mark.parametrize("answer", [page([]), page({}), page({"status": 5}), page(b"\xff")])
def test_a_malformed_health_is_a_finding_of_the_doctor(
    program: Program,
    hostile: HostileGateway,
    capsys: pytest.CaptureFixture[str],
    answer: bytes,
) -> None:
    """It then asks nothing else."""
    hostile.pages["/health"] = answer
    args = ("--json", "--url", hostile.http, "--nats-url", "nats://127.0.0.1:1")
    done = program.call(capsys, "doctor", *args)
    assert_harmless(done)
    found = {find["name"]: find for find in done.json}["gateway"]
    assert found["verdict"] == "bad"
    assert "does not answer like a percolator gateway" in found["text"]


@pytest.mark.parametrize(
    "entry", [5, {"price": 1.5}, {"price": -1, "timestamp": 1}, {"price": 1, "timestamp": 2**53}]
)
def test_malformed_markets_are_reported_in_one_sentence(
    program: Program,
    hostile: HostileGateway,
    capsys: pytest.CaptureFixture[str],
    entry: object,
) -> None:
    """An event that no publisher could have published."""
    hostile.pages["/markets"] = page({"markets": {"SOL": {"price": entry}}})
    done = program.call(capsys, "stats", "--url", hostile.http)
    assert_one_sentence(done, "markets.SOL.price", "/markets")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(endlessly(b" " * 65_536, page(b"")[:-4] + b"\r\n\r\n"), id="body"),
        pytest.param(endlessly(b" " * 65_536, b"HTTP/1.1 200 OK\r\n\r\n"), id="unbounded body"),
        pytest.param(endlessly(b"HTTP/1.1 100 Continue\r\n\r\n"), id="status"),
        pytest.param(endlessly(b"a: b\r\n", b"HTTP/1.1 200 OK\r\n"), id="headers"),
        pytest.param(
            endlessly(b"-5\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            id="negative chunks",
        ),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\n{"), id="a body that never ends"),
    ],
)
def test_an_endless_answer_is_given_up(
    program: Program,
    hostile: HostileGateway,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: object,
) -> None:
    """In bytes and in time, whatever part of it never ends."""
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.5)
    hostile.pages["/ws/stats"] = answer  # type: ignore[assignment]
    assert_one_sentence(program.call(capsys, "stats", "--url", hostile.http), hostile.http)


@pytest.mark.parametrize(
    "date", ["x", "Mon, 99 Jan 2024 00:00:00 GMT", "1 Jan 2024 00:00:00 +99999999999999", ESCAPES]
)
def test_a_bad_date_is_not_used(
    program: Program, hostile: HostileGateway, capsys: pytest.CaptureFixture[str], date: str
) -> None:
    """The doctor then says nothing of the clocks."""
    header = f"Date: {date}".encode(errors="replace").decode("latin-1").replace("\r\n", "")
    hostile.pages["/health"] = page(HEALTH, "200 OK", header)
    args = ("--json", "--url", hostile.http, "--nats-url", "nats://127.0.0.1:1")
    done = program.call(capsys, "doctor", *args)
    assert_harmless(done)
    assert "clocks" not in {find["name"] for find in done.json}


def test_an_older_gateway_is_shown(program: Program, hostile: HostileGateway) -> None:
    """What it does not say is not made up in the JSON."""
    old = {"totalConnections": 3, "connectionsPerSlab": {"SOL": 3}, "more": [1]}
    hostile.pages |= {"/ws/stats": page(old), "/markets": page({"markets": {}})}
    done = program.run("stats", "--url", hostile.http)
    assert (done.code, done.err) == (0, "")
    assert re.search(r"connections +3", done.out)
    assert program.run("stats", "--json", "--url", hostile.http).json == old
