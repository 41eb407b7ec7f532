"""A session: what one client asks for, and what it is answered. The hub's side of a connection.

A connection hands it text messages and tells it when its buffer is full, has drained, or is gone.
It answers through the connection, and never touches a socket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from percolator import protocol
from percolator.errors import RequestError
from percolator.fanout.book import Clock
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub, Start
from percolator.fanout.limits import TokenBucket
from percolator.fanout.log import LosslessLog
from percolator.fanout.stats import Stats

MAX_REFUSALS = 3
"""So many rate-limited messages in a row end the connection."""


class Wire(Protocol):
    """What a session needs of its connection."""

    def send(self, data: bytes) -> None:
        """Write frames, as they are."""

    def reply(self, data: bytes) -> None:
        """Write an answer; a client that asks and does not read is cut off."""

    def close(self, close: protocol.Close) -> None:
        """Say why, and end it."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of a gateway share. `wall` gives Unix milliseconds."""

    hub: Hub
    stats: Stats
    clock: Clock
    wall: Callable[[], int]
    messages_per_second: float
    message_burst: int
    replay_limit: int
    backfill: Callable[[Cursor, list[LosslessLog], int | None], None]
    """Sends a held cursor what its logs do not reach back to, so many events at the most."""


class ClientSession:
    """One client of the hub."""

    __slots__ = ("_bucket", "_context", "_cursor", "_refusals", "_wire")

    def __init__(self, context: SessionContext, wire: Wire) -> None:
        self._context = context
        self._wire = wire
        self._cursor = Cursor(wire.send)
        self._bucket = TokenBucket(
            context.messages_per_second, context.message_burst, context.clock()
        )
        self._refusals = 0

    def opened(self) -> None:
        """Greet."""
        hub = self._context.hub
        self._reply(protocol.connected(hub.epoch, hub.seq))

    def received(self, data: bytes, *, text: bool) -> None:
        """Carry out one message; exactly one final reply goes out for it."""
        allowed = self._allow()
        try:
            command = protocol.parse(data) if text else protocol.refuse_binary()
        except protocol.Unreadable as unreadable:
            fault = unreadable.error if allowed else _rate_limited()
            self._reply(protocol.error(fault, unreadable.request_id))
        else:
            if allowed:
                self._carry_out(command)
            else:
                self._reply(protocol.error(_rate_limited(), command.id))
        if self._refusals >= MAX_REFUSALS:
            self._wire.close(protocol.CLOSE_RATE)

    def counted(self) -> None:
        """Count a ping or a fragment as a message: it costs as much."""
        if not self._allow() and self._refusals >= MAX_REFUSALS:
            self._wire.close(protocol.CLOSE_RATE)

    def blocked(self) -> None:
        """Take note that the buffer is full."""
        self._context.hub.block(self._cursor)

    def drained(self) -> None:
        """Take note that it has room again."""
        self._context.hub.drained(self._cursor)

    def closed(self) -> None:
        """Give back everything."""
        self._context.hub.remove(self._cursor)

    def _allow(self) -> bool:
        if self._bucket.take(self._context.clock()):
            self._refusals = 0
            return True
        self._refusals += 1
        return False

    def _carry_out(self, command: protocol.Command) -> None:
        match command:
            case protocol.Subscribe():
                self._subscribe(command)
            case protocol.Unsubscribe():
                self._unsubscribe(command)
            case protocol.Ping():
                self._reply(protocol.pong(self._context.wall(), command.id))
            case protocol.Auth():
                self._reply(protocol.authenticated(["*"], command.id))

    def _subscribe(self, command: protocol.Subscribe) -> None:
        context = self._context
        left = context.replay_limit or None
        done: list[str] = []
        errors, held = list(command.errors), []
        for channel in command.channels:
            start = Start(command.since_of(channel), command.epoch, command.recent)
            try:
                resumed = context.hub.subscribe(self._cursor, channel, start, left)
            except RequestError as error:
                errors.append(error)
                continue
            done.append(channel)
            left = None if left is None else left - resumed.events
            if resumed.held is not None:
                held.append(resumed.held)
        final = protocol.subscribed(done, command.id) if done else b""
        self._answer(errors, final, command.id)
        if held:
            context.backfill(self._cursor, held, left)
        if not self._cursor.slabs and any(error.code == "slab_limit" for error in errors):
            self._wire.close(protocol.CLOSE_SLAB)

    def _unsubscribe(self, command: protocol.Unsubscribe) -> None:
        done, errors = [], list(command.errors)
        for channel in command.channels:
            try:
                self._context.hub.unsubscribe(self._cursor, channel)
            except RequestError as error:
                errors.append(error)
            else:
                done.append(channel)
        final = protocol.unsubscribed(done, command.id) if done else b""
        self._answer(errors, final, command.id)

    def _answer(
        self, errors: list[RequestError], final: bytes, request_id: protocol.RequestId
    ) -> None:
        messages = [protocol.error(error, request_id) for error in errors]
        if final:
            messages.append(final)
        self._reply(b"".join(messages), len(messages))

    def _reply(self, data: bytes, messages: int = 1) -> None:
        self._context.stats.messages_sent += messages
        self._context.stats.bytes_sent += len(data)
        self._wire.reply(data)


def _rate_limited() -> RequestError:
    return RequestError("rate_limited", protocol.ERRORS["rate_limited"])
