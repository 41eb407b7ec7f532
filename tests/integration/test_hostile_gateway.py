"""The client for Python programs, connected to a hostile gateway."""

import asyncio
import contextlib
import json
import random
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from percolator.client import Gap, Message, State, Update, follow
from percolator.errors import GatewayUnreachableError, RequestError
from tests.client import PATIENCE
from tests.hostile import (
    CONNECTED,
    ESCAPES,
    HARMFUL,
    SUBSCRIBED,
    TRADE,
    HostileGateway,
    binary,
    close,
    hostile_gateway,
    page,
    saying,
    text,
)

MOST_BYTES = 32_000_000
"""More than the client's queue and the sockets' buffers hold."""

GAP = {"type": "gap", "channel": "trades:SOL", "from": 1, "to": 3}


def without(message: dict[str, Any], field: str) -> dict[str, Any]:
    """Return a message that lacks a field."""
    return {name: value for name, value in message.items() if name != field}


INVALID = {
    "not JSON": text("{"),
    "not an object with a type": text([1]),
    "it is binary": binary(json.dumps(TRADE).encode()),
    "trade without seq": text(without(TRADE, "seq")),
    "trade whose seq is not valid": text(TRADE | {"seq": 2**63}),
    "trade whose prev is not valid": text(TRADE | {"prev": TRADE["seq"]}),
    "trade whose size is not valid": text(TRADE | {"size": 1}),
    "trade whose price is not valid": text(TRADE | {"price": True}),
    "trade whose snapshot is not valid": text(TRADE | {"snapshot": 1}),
    "trade whose slab is not valid": text(TRADE | {"slab": ESCAPES}),
    "gap without from": text(without(GAP, "from")),
    "gap whose to is not valid": text(GAP | {"to": -1}),
    "gap whose channel is not valid": text(GAP | {"channel": None}),
    "subscribed without channels": text(without(SUBSCRIBED, "channels")),
    "subscribed whose channels is not valid": text(SUBSCRIBED | {"channels": "trades:SOL"}),
    "error without code": text({"type": "error", "message": "x"}),
    "error whose message is not valid": text({"type": "error", "code": "x", "message": 5}),
}
FIRST = {
    "connected without epoch": text(without(CONNECTED, "epoch")),
    "connected without seq": text(without(CONNECTED, "seq")),
    "connected whose seq is not valid": text(CONNECTED | {"seq": 1.5}),
    "the first one is not connected": text(SUBSCRIBED),
    "not JSON": text('{"type":"connected","epoch":"e","seq":NaN}'),
}


class Follower:
    """A program that follows a hostile gateway until something has happened."""

    def __init__(self, gateway: HostileGateway, channels: tuple[str, ...]) -> None:
        self.states: list[State] = []
        self.got: list[Message] = []
        self.news = asyncio.Event()
        self.messages = follow(gateway.ws, channels, on_state=self._state)

    def _state(self, state: State) -> None:
        self.states.append(state)
        self.news.set()

    async def read(self) -> None:
        """Keep everything that is received."""
        async with self.messages:
            async for message in self.messages:
                self.got.append(message)
                self.news.set()

    @property
    def waits(self) -> list[State]:
        """The waits between two connections so far."""
        return [state for state in self.states if state.name == "waiting"]


async def first(url: str) -> Message:
    """Follow a channel, and return the first message."""
    async with follow(url, ["trades:SOL"]) as feed:
        return await anext(feed)


@contextlib.asynccontextmanager
async def following(
    gateway: HostileGateway, *channels: str, waits: int = 0, messages: int = 0
) -> AsyncIterator[Follower]:
    """Follow until these numbers of waits and messages are reached; raise what ends it earlier."""
    program = Follower(gateway, channels or ("trades:SOL",))
    task = asyncio.create_task(program.read())
    try:
        async with asyncio.timeout(PATIENCE):
            while len(program.waits) < waits or len(program.got) < messages:
                program.news.clear()
                news = asyncio.create_task(program.news.wait())
                await asyncio.wait([task, news], return_when="FIRST_COMPLETED")
                news.cancel()
                if task.done():
                    task.result()
        yield program
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("why", INVALID)
async def test_an_invalid_message_ends_the_connection_with_a_reason(why: str) -> None:
    """What came before it is delivered, and the client connects again."""
    frames = text(CONNECTED), text(SUBSCRIBED), text(TRADE | {"seq": 2}), INVALID[why]
    with hostile_gateway(speak=saying(*frames)) as gateway:
        async with following(gateway, waits=2) as program:
            reasons = {state.reason for state in program.waits}
            assert reasons == {f"the gateway sent an invalid message: {why}"}
            assert [message.seq for message in program.got if isinstance(message, Update)] == [2]
            assert gateway.sockets >= 2


@pytest.mark.parametrize("why", FIRST)
async def test_an_invalid_greeting_ends_the_connection_with_a_reason(why: str) -> None:
    """The client has not subscribed to anything yet."""
    with hostile_gateway(speak=saying(FIRST[why])) as gateway:
        async with following(gateway, waits=1) as program:
            assert program.waits[0].reason == f"the gateway sent an invalid message: {why}"


async def test_the_wait_grows_while_the_gateway_sends_invalid_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer to the subscribe does not reset it."""
    limits: list[float] = []

    def longest(_low: float, high: float) -> float:
        limits.append(high)
        return 0.0

    monkeypatch.setattr(random, "uniform", longest)
    frames = text(CONNECTED), text(SUBSCRIBED), INVALID["gap without from"]
    with hostile_gateway(speak=saying(*frames)) as gateway:
        async with following(gateway, waits=4):
            assert limits[:4] == [0.5, 1.0, 2.0, 4.0]


async def test_what_the_client_need_not_know_is_ignored() -> None:
    """Messages of unknown types, unknown fields, and channels that it did not ask for."""
    frames = (
        text(CONNECTED | {"more": ESCAPES}),
        text({"type": "news", "seq": "x"}),
        text(SUBSCRIBED | {"channels": ["trades:SOL", "trades:ETH"]}),
        text(TRADE | {"slab": "ETH", "seq": 7}),
        text(GAP | {"channel": "trades:ETH"}),
        text(TRADE | {"seq": 8, "more": [1]}),
        text(TRADE | {"seq": 7}),
        text(GAP | {"from": 8, "to": 10}),
        text(TRADE | {"seq": 10}),
    )
    with hostile_gateway(speak=saying(*frames)) as gateway:
        async with following(gateway, messages=3) as program:
            seqs = [m.seq if isinstance(m, Update) else m for m in program.got]
            assert seqs == [8, Gap("trades:SOL", 8, 10), 10]


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        *[(1e12, 60, 60), (-1, 0, 0.25), (0, 0, 0.25), (700, 0.7, 0.7)],
        *[(None, 0, 0.5), ("soon", 0, 0.5), (True, 0, 0.5), ([], 0, 0.5), ({}, 0, 0.5)],
    ],
)
async def test_the_wait_that_a_closing_gateway_asks_for_is_bounded(
    asked: object, low: float, high: float
) -> None:
    """It is 60 s at most; what is not a number counts as if it was not given."""
    closing = {"type": "closing", "reconnectInMs": asked}
    with hostile_gateway(speak=saying(text(CONNECTED), text(closing), close("bye"))) as gateway:
        async with following(gateway, waits=1) as program:
            assert low <= program.waits[0].delay <= high


async def test_a_gateway_that_always_asks_for_no_wait_gets_four_attempts_per_second() -> None:
    """It cannot make the client connect in a loop."""
    closing = {"type": "closing", "reconnectInMs": 0}
    frames = text(CONNECTED), text(SUBSCRIBED), text(closing), close("bye")
    with hostile_gateway(speak=saying(*frames)) as gateway:
        start = asyncio.get_running_loop().time()
        async with following(gateway, waits=4):
            assert asyncio.get_running_loop().time() - start > 0.7


async def test_the_text_of_a_gateway_can_be_shown() -> None:
    """Reasons and errors have no control character and no mark-up for a terminal left."""
    reason = "\x1b[31m\x07\u202e"
    with hostile_gateway(speak=saying(text(CONNECTED), close(reason))) as gateway:
        async with following(gateway, waits=1) as program:
            assert program.waits[0].reason == r"\x1b[31m\x07\u202e"
    refused = {"type": "error", "code": "unauthorized", "message": ESCAPES}
    with (
        hostile_gateway(speak=saying(text(CONNECTED), text(refused))) as gateway,
        pytest.raises(RequestError) as caught,
    ):
        await first(gateway.ws)
    assert not any(harm in str(caught.value) for harm in HARMFUL)


async def test_a_gateway_that_reads_no_pongs_has_to_wait() -> None:
    """What the client does not hold, the gateway cannot send."""
    pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=False) * 500
    sent, waits = 0, threading.Event()

    def speak(client: socket.socket) -> None:
        nonlocal sent
        client.sendall(text(CONNECTED))
        client.settimeout(1.0)
        try:
            while sent < 2 * MOST_BYTES:
                sent += client.send(pings)
        except TimeoutError:
            waits.set()

    with hostile_gateway(speak=speak) as gateway:
        async with follow(gateway.ws, ["trades:SOL"]):
            await asyncio.to_thread(waits.wait, PATIENCE)
            assert waits.is_set()
            assert sent < MOST_BYTES


@pytest.mark.parametrize(
    "location", ["http://", "ws://127.0.0.1:99999/", "ftp://x/", "/ws", "ws://[::1", "ws://..b/"]
)
async def test_a_bad_redirect_is_a_failed_attempt(location: str) -> None:
    """Nothing but the errors that are documented leaves `follow`."""
    answer = page({}, "302 Found", f"Location: {location}")
    with hostile_gateway(refusal=answer) as gateway:
        async with following(gateway, waits=1) as program:
            assert program.waits[0].reason


@pytest.mark.parametrize("url", ["ws://[::1", "ws://x:port", "ftp://x", "ws://", "ws://x:99999"])
async def test_an_address_that_is_not_valid_is_refused(url: str) -> None:
    """Trying it again would not help."""
    with pytest.raises(GatewayUnreachableError, match="is not the address of a gateway"):
        await first(url)
