"""`percolator loadtest` as a process, against a hostile gateway."""

import pytest

from tests.cli.hostile_answers import STATS, assert_harmless, assert_one_sentence
from tests.cli.program import Program
from tests.hostile import (
    CONNECTED,
    ESCAPES,
    HostileGateway,
    close,
    endlessly,
    page,
    saying,
    text,
)


def test_the_load_test_shows_the_text_of_a_gateway_without_its_escapes(
    program: Program, hostile: HostileGateway, nats_url: str
) -> None:
    """Each client is refused with a reason, or has to be cut off."""
    args = ("loadtest", "--connections", "2", "--url", hostile.http, "--nats-url", nats_url)
    assert_one_sentence(program.run(*args), "refuses every connection", r"[red]\x1b]0;taken")
    for frame in (text({"type": "gap"}), text("[1]"), b"\x82\x01x", b"\x81\x7f" + b"\xff" * 8):
        hostile.speak = saying(text(CONNECTED), frame)
        assert_one_sentence(program.run(*args), "protocol", "the gateway sent an invalid message")
    hostile.speak = saying(text(CONNECTED), close("\x1b[31m\x07[red]"))
    assert_one_sentence(program.run(*args), r"1008, \x1b[31m\x07[red]")
    hostile.refusal = page(ESCAPES.encode(), f"403 {ESCAPES[:8]}")
    assert_one_sentence(program.run(*args), "HTTP 403")
    hostile.refusal = None
    hostile.speak = endlessly(b"\x89\x04ping" * 10_000, text(CONNECTED))
    assert_one_sentence(program.run(*args), "another ping, without reading the pongs")


@pytest.mark.parametrize("location", ["http://", "/ws", "ws://127.0.0.1:99999/", "ftp://x"])
def test_the_redirect_of_a_websocket_is_reported(
    program: Program, hostile: HostileGateway, capsys: pytest.CaptureFixture[str], location: str
) -> None:
    """By the doctor as a finding; a limit that cannot be tested did not hold."""
    hostile.pages["/ws/stats"] = page(STATS | {"limits": {"maxMessageBytes": 700}})
    hostile.refusal = page({}, "302 Found", f"Location: {location}")
    nats = ("--nats-url", "nats://127.0.0.1:1", "--json", "--url", hostile.http)
    done = program.call(capsys, "doctor", *nats)
    assert_harmless(done)
    assert {find["name"]: find["verdict"] for find in done.json}["WebSocket"] == "bad"
    done = program.call(capsys, "loadtest", "--verify-limits", *nats)
    assert_harmless(done)
    assert done.code == 3


@pytest.mark.parametrize(
    "frame",
    [
        text({"type": "error", "code": "[red]\x1b[31m", "message": ""}),
        text("[1]"),
        text({"type": "pong"}),
        b"\x82\x01x",
        close("\x1b[31m\x07[red]"),
    ],
    ids=["error", "malformed", "pong", "binary", "close"],
)
def test_verify_limits_reports_whatever_a_gateway_answers(
    program: Program, hostile: HostileGateway, frame: bytes
) -> None:
    """As a limit that did not hold, in words that can be shown; it ends in time."""
    limits = {"maxMessageBytes": 2**53 - 1, "messageBurst": 5, "messagesPerSec": 1}
    limits |= {"maxConnectionsPerIp": 1, "maxChannelsPerClient": 2}
    hostile.pages["/ws/stats"] = page(STATS | {"limits": limits})
    hostile.speak = saying(text(CONNECTED), *[frame] * 100)
    nats = ("--nats-url", "nats://127.0.0.1:1", "--url", hostile.http)
    done = program.run("loadtest", "--verify-limits", *nats)
    assert_harmless(done)
    assert (done.code, done.err) == (3, "")
    assert "not tested: too high to reach" in done.out
