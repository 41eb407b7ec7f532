"""The states that a program is shown, the signs of life, and the waits between attempts."""

import asyncio
import logging
import random
import socket
import threading

import pytest

from percolator.client import State, backoff, follow, liveness
from tests.client import PATIENCE
from tests.gateway import eventually
from tests.hostile import CONNECTED as HELLO
from tests.hostile import hostile_gateway, saying, text
from tests.integration.client.following import following
from tests.scripted import CONNECTED, Message, Peer, scripted, trade

TRADES, PRICE = "trades:SOL", "price:SOL"


async def test_the_state_is_live_only_when_every_channel_is_subscribed() -> None:
    """Also when a channel is added later."""
    answers: list[Message] = []

    async def later(_peer: Peer, request: Message) -> None:
        answers.append(request)

    async with scripted(answer=later) as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.peer()
        await eventually(lambda: len(answers) == 1)
        assert program.names == ["connecting"]
        await peer.accept(answers[0])
        await eventually(lambda: program.names == ["connecting", "live"])
        program.feed.subscribe(PRICE)
        await eventually(lambda: program.names == ["connecting", "live", "connecting"])
        await eventually(lambda: len(answers) == 2)
        await peer.accept(answers[1])
        await eventually(lambda: program.names[2:] == ["connecting", "live"])
    assert program.state == "closed"


async def test_a_feed_without_channels_is_live_once_it_is_greeted() -> None:
    """There is nothing to wait for."""
    async with scripted() as gateway, following(gateway.url) as program:
        await eventually(lambda: program.names == ["connecting", "live"])


async def test_a_stale_feed_of_the_gateway_is_a_stale_state_with_its_time() -> None:
    """Until the gateway hears from NATS again."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        await eventually(lambda: program.state == "live")
        await peer.send({"type": "feed", "state": "stale", "since": 1_234})
        await eventually(lambda: program.state == "stale")
        assert program.states[-1] == State(
            "stale", "the gateway no longer hears from NATS", since=1_234
        )
        assert program.feed.state.name == "stale"
        await peer.send(trade(6))
        await eventually(lambda: program.short == [6])
        assert program.state == "stale"
        await peer.send({"type": "feed", "state": "live", "seq": 9})
        await eventually(lambda: program.state == "live")


async def test_a_gateway_that_greets_with_a_stale_feed_is_never_live() -> None:
    """It holds old events, and says so."""
    hello = CONNECTED | {"feed": {"state": "stale", "since": 7}}
    async with scripted(hello=hello) as gateway, following(gateway.url, TRADES) as program:
        await gateway.subscribed()
        await eventually(lambda: program.names == ["connecting", "stale"])
        assert program.states[-1].since == 7


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the times of the signs of life by a factor of 100."""
    for name in ("IDLE_SECONDS", "STALE_SECONDS", "DEAD_SECONDS"):
        monkeypatch.setattr(liveness, name, getattr(liveness, name) / 100)


def test_a_dead_line_is_noticed_within_25_seconds() -> None:
    """Silence, then a ping without reply; in between the state is stale."""
    assert liveness.IDLE_SECONDS + liveness.DEAD_SECONDS <= 25
    assert liveness.STALE_SECONDS < liveness.DEAD_SECONDS


@pytest.mark.usefixtures("quick")
async def test_silence_is_a_stale_state_and_then_the_end_of_the_connection() -> None:
    """The gateway reads and answers nothing; the line is given up without waiting for it."""
    release = threading.Event()

    def speak(client: socket.socket) -> None:
        client.sendall(text(HELLO))
        release.wait(PATIENCE)

    with hostile_gateway(speak=speak) as gateway:
        async with following(gateway.ws, TRADES) as program:
            await eventually(lambda: "waiting" in program.names)
            assert program.names[:3] == ["connecting", "stale", "waiting"]
            stale, waiting = program.states[1:3]
            assert stale.reason == "the gateway does not answer"
            assert stale.since <= waiting.since - 100
            assert waiting.reason == "the gateway stopped responding"
            release.set()


@pytest.mark.usefixtures("quick")
async def test_a_late_reply_ends_the_stale_state() -> None:
    """Any message counts."""
    pings: list[Message] = []

    async def quiet(peer: Peer, request: Message) -> None:
        if request["type"] == "ping":
            pings.append(request)
        else:
            await peer.accept(request)

    async with scripted(answer=quiet) as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.peer()
        await eventually(lambda: program.state == "stale")
        await peer.send({"type": "heartbeat", "timestamp": 1, "seq": 5})
        await eventually(lambda: program.state == "live")
    assert pings
    assert "waiting" not in program.names


@pytest.mark.usefixtures("quick")
async def test_a_quiet_market_is_not_stale() -> None:
    """Pings are answered."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.peer()
        await eventually(lambda: len(peer.asked("ping")) > 3)
        assert program.names == ["connecting", "live"]


@pytest.mark.usefixtures("quick")
async def test_a_loop_that_was_held_up_is_no_reason_to_reconnect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What arrived meanwhile may wait in the socket: there is one more ping."""
    monkeypatch.setattr(liveness, "LATE_SECONDS", 0.01)
    held = asyncio.Event()

    async def quiet(peer: Peer, request: Message) -> None:
        if request["type"] != "ping" or held.is_set():
            await peer.accept(request)

    async with scripted(answer=quiet) as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.peer()
        await eventually(lambda: program.state == "stale")
        held.set()
        threading.Event().wait(0.2)  # holds up the loop past the end of the wait
        await eventually(lambda: program.state == "live")
        assert len(peer.asked("ping")) >= 2
        assert "waiting" not in program.names


async def test_a_program_that_does_nothing_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is read by a task of its own, also while nothing iterates."""
    for name in ("IDLE_SECONDS", "STALE_SECONDS", "DEAD_SECONDS"):
        monkeypatch.setattr(liveness, name, getattr(liveness, name) / 100)
    async with scripted() as gateway, follow(gateway.url, TRADES) as feed:
        peer = await gateway.peer()
        await eventually(lambda: len(peer.asked("ping")) > 3)
        assert feed.state.name == "live"
        assert len(gateway.peers) == 1


async def test_the_wait_grows_until_a_connection_has_lasted_with_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first reply does not reset it; five seconds with data do."""
    limits: list[float] = []

    def longest(_low: float, high: float) -> float:
        limits.append(high)
        return 0.0

    monkeypatch.setattr(random, "uniform", longest)
    lasting = False

    async def leave(peer: Peer, request: Message) -> None:
        await peer.accept(request)
        if lasting:
            monkeypatch.setattr(backoff, "STABLE_SECONDS", 0.0)
        await peer.socket.close()

    async with scripted(answer=leave) as gateway, following(gateway.url, TRADES) as program:
        await eventually(lambda: program.names.count("waiting") >= 4)
        assert limits[:4] == [0.5, 1.0, 2.0, 4.0]
        lasting = True
        await eventually(lambda: backoff.FIRST_DELAY in limits)


async def test_failed_attempts_are_logged_once_per_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO, with the address and the reason; again after the connection was live."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    caplog.set_level(logging.INFO, "percolator.client")
    with hostile_gateway(speak=saying(text(HELLO | {"seq": "x"}))) as gateway:
        async with following(gateway.ws, TRADES) as program:
            await eventually(lambda: program.names.count("waiting") > 3)
            gateway.speak = saying(text({"event": "info"}))
            await eventually(lambda: "object" in program.states[-1].reason)
            gateway.speak = saying(text(HELLO | {"seq": "x"}))
            number = len(program.states)
            await eventually(lambda: "seq" in "".join(s.reason for s in program.states[number:]))
    assert len(caplog.records) == 2
    first = f"not connected to {gateway.ws}: the gateway sent an invalid message: "
    assert all(record.getMessage().startswith(first) for record in caplog.records)
    assert all(record.levelno == logging.INFO for record in caplog.records)


@pytest.mark.parametrize(
    ("frames", "why"),
    [(b"\x83\x00", "the gateway broke the protocol: "), (b"", "the connection was lost")],
)
async def test_the_reason_says_who_ended_the_connection(frames: bytes, why: str) -> None:
    """A frame that is not valid, or none at all."""
    with hostile_gateway(speak=lambda client: client.sendall(frames)) as gateway:
        async with following(gateway.ws, TRADES) as program:
            await eventually(lambda: "waiting" in program.names)
            assert program.states[1].reason.startswith(why)


@pytest.mark.parametrize("first", ["hello", {"event": "info"}, [], {"type": "connected"}])
async def test_another_kind_of_server_is_a_reason_to_wait_and_never_another_error(
    first: object,
) -> None:
    """Whatever it says first."""
    with hostile_gateway(speak=saying(text(first))) as gateway:
        async with following(gateway.ws, TRADES) as program:
            await eventually(lambda: "waiting" in program.names)
            assert program.states[1].reason.startswith("the gateway sent an invalid message: ")
