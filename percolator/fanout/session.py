"""A session: what one client asks for, and what it is answered. The hub's side of a connection.

A connection hands it text messages and tells it when its buffer is full, has drained, or is gone.
It answers through the connection, and never touches a socket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from percolator.errors import RequestError
from percolator.fanout.book import Clock
from percolator.fanout.followers import Cursor, Writer
from percolator.fanout.hub import Hub, Start
from percolator.fanout.log import LosslessLog
from percolator.model import messages
from percolator.ratelimit import TokenBucket
from percolator.stats import Stats

MAX_REFUSALS = 3
"""So many rate-limited messages in a row end the connection."""
AUTH_SECONDS = 5.0
"""For a client to say who it is, where that is asked for."""


class Grant(Protocol):
    """What a token allows: `channels` are patterns, `expires` is in Unix seconds."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The patterns."""

    @property
    def expires(self) -> float:
        """When it ends."""

    def covers(self, channel: str) -> bool:
        """True where a pattern fits the channel."""


Verify = Callable[[str], Grant | None]
"""Says what a token allows; None where it is not valid."""


class ClientConnection(Writer, Protocol):
    """What a session needs of its connection."""

    def reply(self, data: bytes) -> None:
        """Write an answer; a client that asks and does not read is cut off."""

    def close(self, close: messages.Close) -> None:
        """Say why, and end it."""

    def end_at(self, time: float, close: messages.Close) -> None:
        """Close at a time on the clock, instead of any that was set before."""


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
    replayer: Callable[[Cursor, list[LosslessLog], int | None], None]
    """Sends a held cursor what its logs do not reach back to, so many events at the most."""


class ClientSession:
    """One client of the hub."""

    __slots__ = (
        "_bucket",
        "_connection",
        "_context",
        "_cursor",
        "_grant",
        "_refusals",
        "_token",
        "_verify",
    )  # fmt: skip

    def __init__(
        self,
        context: SessionContext,
        connection: ClientConnection,
        verify: Verify | None = None,
        token: str | None = None,
    ) -> None:
        """With `verify`, a token is asked for; `token` is one that came with the upgrade."""
        self._verify = verify
        self._token = token
        self._grant: Grant | None = None
        self._context = context
        self._connection = connection
        self._cursor = Cursor(connection)
        self._bucket = TokenBucket(
            context.messages_per_second, context.message_burst, context.clock()
        )
        self._refusals = 0

    def opened(self) -> None:
        """Greet, and see who it is."""
        hub = self._context.hub
        self._reply(messages.connected(hub.epoch, hub.seq))
        token, self._token = self._token, None
        if self._verify is not None:
            until = self._context.clock() + AUTH_SECONDS
            self._connection.end_at(until, messages.CLOSE_UNAUTHENTICATED)
            if token:
                self._authenticate(token, None)

    def received(self, data: bytes, *, text: bool) -> None:
        """Carry out one message; exactly one final reply goes out for it."""
        allowed = self._allow()
        try:
            command = messages.parse(data) if text else messages.refuse_binary()
        except messages.InvalidCommand as invalid:
            fault = invalid.error if allowed else _rate_limited()
            self._reply(messages.error(fault, invalid.request_id))
        else:
            if allowed:
                self._carry_out(command)
            else:
                self._reply(messages.error(_rate_limited(), command.id))
        if self._refusals >= MAX_REFUSALS:
            self._connection.close(messages.CLOSE_RATE)

    def charge_frame(self) -> None:
        """Count a ping or a fragment as a message: it costs as much."""
        if not self._allow() and self._refusals >= MAX_REFUSALS:
            self._connection.close(messages.CLOSE_RATE)

    def paused(self) -> None:
        """Take note that the buffer is full."""
        self._context.hub.pause(self._cursor)

    def resumed(self) -> None:
        """Take note that it has room again."""
        self._context.stats.catch_ups += self._cursor.paused
        self._context.hub.resume(self._cursor)

    def closed(self) -> None:
        """Give back everything."""
        self._context.hub.remove(self._cursor)

    def _allow(self) -> bool:
        if self._bucket.take(self._context.clock()):
            self._refusals = 0
            return True
        self._refusals += 1
        return False

    def _carry_out(self, command: messages.Command) -> None:
        match command:
            case messages.Subscribe():
                self._subscribe(command)
            case messages.Unsubscribe():
                self._unsubscribe(command)
            case messages.Ping():
                self._reply(messages.pong(self._context.wall(), command.id))
            case messages.Auth():  # pragma: no branch - there is no fifth command
                self._authenticate(command.token, command.id)

    def _authenticate(self, token: str, request_id: messages.RequestId) -> None:
        """Take a token; another one takes its place, and what it does not cover is withdrawn."""
        if self._verify is None:
            self._reply(messages.authenticated(["*"], request_id))
            return
        grant = self._verify(token)
        if grant is None:
            self._reply(messages.error(_unauthorized(), request_id))
            return
        self._grant = grant
        context = self._context
        left = grant.expires - context.wall() / 1_000
        self._connection.end_at(context.clock() + left, messages.CLOSE_EXPIRED)
        reading = [log.channel for log in (*self._cursor.positions, *self._cursor.replaying)]
        errors = []
        for channel in reading:
            if not grant.covers(channel):
                context.hub.unsubscribe(self._cursor, channel)
                errors.append(_unauthorized(channel))
        self._answer(errors, messages.authenticated(grant.channels, request_id), request_id)

    def _may_read(self, channel: str) -> bool:
        return self._verify is None or (self._grant is not None and self._grant.covers(channel))

    def _subscribe(self, command: messages.Subscribe) -> None:
        context = self._context
        left = context.replay_limit or None
        done: list[str] = []
        errors, held = list(command.errors), []
        for channel in command.channels:
            start = Start(command.since_of(channel), command.epoch, command.recent)
            if not self._may_read(channel):
                errors.append(_unauthorized(channel))
                continue
            try:
                resumed = context.hub.subscribe(self._cursor, channel, start, left)
            except RequestError as error:
                errors.append(error)
                continue
            done.append(channel)
            left = None if left is None else left - resumed.events
            if resumed.replaying is not None:
                held.append(resumed.replaying)
            elif start.since is not None:
                context.stats.resumed += 1
        final = messages.subscribed(done, command.id) if done else b""
        self._answer(errors, final, command.id)
        if held:
            context.replayer(self._cursor, held, left)
        if not self._cursor.slabs and any(error.code == "slab_limit" for error in errors):
            self._connection.close(messages.CLOSE_SLAB)

    def _unsubscribe(self, command: messages.Unsubscribe) -> None:
        done, errors = [], list(command.errors)
        for channel in command.channels:
            try:
                self._context.hub.unsubscribe(self._cursor, channel)
            except RequestError as error:
                errors.append(error)
            else:
                done.append(channel)
        final = messages.unsubscribed(done, command.id) if done else b""
        self._answer(errors, final, command.id)

    def _answer(
        self, errors: list[RequestError], final: bytes, request_id: messages.RequestId
    ) -> None:
        replies = [messages.error(error, request_id) for error in errors]
        if final:
            replies.append(final)
        self._reply(b"".join(replies), len(replies))

    def _reply(self, data: bytes, messages: int = 1) -> None:
        self._context.stats.messages_sent += messages
        self._context.stats.bytes_sent += len(data)
        self._connection.reply(data)


def _unauthorized(channel: str | None = None) -> RequestError:
    return RequestError("unauthorized", messages.ERRORS["unauthorized"], channel)


def _rate_limited() -> RequestError:
    return RequestError("rate_limited", messages.ERRORS["rate_limited"])
