"""A session: carries out what one client asks for, and replies. The hub's side of a connection.

A connection hands it text messages and tells it when its buffer is full, has drained, or is gone.
It answers through the connection, and never touches a socket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from percolator.errors import RequestError
from percolator.fanout.book import Clock
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.ports import ClientConnection, Grant, Verify
from percolator.fanout.reader import Start
from percolator.model import closes, commands, messages
from percolator.model.channel import Channel
from percolator.ratelimit import TokenBucket
from percolator.stats import Stats

FLOOD_SECONDS = 10.0
"""Seconds for which a client may be over its rate without a break; then the connection ends."""
CHANNELS_PER_TOKEN = 50
"""Channels that a message may name for the price of one message; the others cost as much again."""
MAX_ERRORS = 10
"""Errors in the reply to one message; the rest are only counted."""
AUTH_SECONDS = 5.0
"""Seconds that a client has to authenticate, if auth is enabled."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of a gateway share. `wall` gives Unix milliseconds."""

    hub: Hub
    stats: Stats
    clock: Clock
    wall: Callable[[], int]
    limits: messages.ClientLimits
    heartbeat_interval: float
    """Seconds without a message after which a client is sent a heartbeat; 0: none are sent."""
    stale_since: Callable[[], int | None]
    """Since when nothing is heard from NATS, in Unix milliseconds; None while all is well."""
    replayer: Callable[[Cursor, list[LosslessLog], int | None, str], None]
    """Sends a cursor what logs do not reach back to: up to a number of events, for an address."""


class ClientSession:
    """One client of the hub."""

    __slots__ = (
        "_bucket",
        "_connection",
        "_context",
        "_cursor",
        "_grant",
        "_token",
        "_told_stale",
        "_verify",
    )  # fmt: skip

    def __init__(
        self,
        context: SessionContext,
        connection: ClientConnection,
        verify: Verify | None = None,
        token: str | None = None,
    ) -> None:
        """With `verify`, a token is required; `token` is one that came with the upgrade."""
        self._verify = verify
        self._token = token
        self._grant: Grant | None = None
        self._context = context
        self._connection = connection
        self._cursor = Cursor(connection)
        self._told_stale: int | None = None
        self._bucket = TokenBucket(
            context.limits.messages_per_second, context.limits.message_burst, context.clock()
        )

    def opened(self) -> None:
        """Send the greeting, and check the token that came with the upgrade."""
        context, book = self._context, self._context.hub.book
        self._told_stale = context.stale_since()
        ms, stale_since = int(context.heartbeat_interval * 1_000), self._told_stale
        greeting = messages.connected(
            book.epoch, book.seq, context.limits, heartbeat_ms=ms, stale_since=stale_since
        )
        self._reply(greeting)
        token, self._token = self._token, None
        if self._verify is not None:
            until = context.clock() + AUTH_SECONDS
            self._connection.end_at(until, closes.CLOSE_UNAUTHENTICATED)
            if token:
                self._authenticate(token, None)

    def received(self, data: bytes, *, text: bool) -> None:
        """Carry out one message, and send exactly one final reply."""
        max_channels = self._context.limits.channels
        try:
            command = commands.parse(data, max_channels) if text else commands.refuse_binary()
        except commands.InvalidCommand as invalid:
            self.charge_frame()
            self._reply(messages.error(invalid.error, invalid.request_id, invalid.slab))
        else:
            self.charge_frame(max(self._channels(command) / CHANNELS_PER_TOKEN, 1))
            self._carry_out(command)

    def _channels(self, command: commands.Command) -> int:
        """Count the channels of a message, and all markets of its wildcards."""
        markets = self._context.hub.book.markets
        kinds = [channel.kind for channel in command.channels if channel.is_wildcard]
        return command.named + sum(1 for kind in kinds for _ in markets(kind))

    def charge_frame(self, cost: float = 1) -> None:
        """Charge a frame; one that completes no message costs as much as a message."""
        self._bucket.charge(self._context.clock(), cost)

    def waits_until(self) -> float | None:
        """Return when the next frame may be read, None for now.

        A client that has been over its rate for FLOOD_SECONDS without a break is closed.
        """
        since = self._bucket.in_debt_since
        if since is None:
            return None
        now, paid_at = self._context.clock(), self._bucket.paid_at
        if paid_at <= now:
            return None
        if now >= since + FLOOD_SECONDS:
            self._connection.close(closes.CLOSE_RATE)
            return None
        return min(paid_at, since + FLOOD_SECONDS)

    def paused(self) -> None:
        """The buffer is full: stop sending."""
        self._context.hub.pause(self._cursor)

    def resumed(self) -> None:
        """The buffer has drained: go on sending."""
        self._context.stats.catch_ups += self._cursor.paused
        self._context.hub.resume(self._cursor)
        self.tell_feed()

    def tell_feed(self) -> None:
        """Send whether NATS is heard, if the client was told otherwise; once it has drained."""
        stale_since = self._context.stale_since()
        if stale_since != self._told_stale and not self._cursor.paused:
            self._told_stale = stale_since
            self._reply(messages.feed(stale_since, self._context.hub.book.seq))

    def beat(self, now: float) -> None:
        """Send a heartbeat if the client has everything and was sent nothing for a while.

        One that has not got everything will be sent it, which says more.
        """
        context = self._context
        interval = context.heartbeat_interval
        if not interval or now - self._cursor.last_sent < interval:
            return
        if context.hub.has_everything(self._cursor):
            self._reply(messages.heartbeat(context.wall(), context.hub.book.seq))

    def closed(self) -> None:
        """The connection is gone: give everything back."""
        self._context.hub.remove(self._cursor)

    def _carry_out(self, command: commands.Command) -> None:
        match command:
            case commands.Subscribe():
                self._subscribe(command)
            case commands.Unsubscribe():
                self._unsubscribe(command)
            case commands.Ping():
                self._reply(messages.pong(self._context.wall(), command.id))
            case commands.Auth():
                self._authenticate(command.token, command.id)
            case _:
                assert_never(command)

    def _authenticate(self, token: str, request_id: commands.RequestId) -> None:
        """Check a token. It replaces the last one; channels it does not cover are withdrawn."""
        if self._verify is None:
            self._reply(messages.error(_error("auth_disabled"), request_id))
            return
        grant = self._verify(token)
        if grant is None:
            self._reply(messages.error(_error("unauthorized"), request_id))
            return
        self._grant = grant
        context = self._context
        left = grant.expires - context.wall() / 1_000
        self._connection.end_at(context.clock() + left, closes.CLOSE_EXPIRED)
        errors = []
        for channel in tuple(self._cursor.channels):
            if not grant.covers(channel):
                self._leave(channel)
                errors.append(_error("unauthorized", channel))
        final = messages.authenticated(grant.channels, request_id)
        self._answer(errors, final, request_id, max_errors=len(errors))

    def _may_read(self, channel: Channel) -> bool:
        return self._verify is None or (self._grant is not None and self._grant.covers(channel))

    def _subscribe(self, command: commands.Subscribe) -> None:
        context = self._context
        left = context.limits.replay or None
        done: list[Channel] = []
        errors, behind = list(command.errors), []
        for channel in command.channels:
            start = Start(command.since_of(channel), command.epoch, command.recent)
            if not self._may_read(channel):
                errors.append(_error("unauthorized", channel))
                continue
            try:
                resumed = context.hub.subscribe(self._cursor, channel, start, left)
            except RequestError as error:
                errors.append(error)
                continue
            done.append(channel)
            left = None if left is None else left - resumed.events
            context.stats.resumed += resumed.from_memory
            if resumed.replaying is not None:
                behind.append(resumed.replaying)
        unknown = [each for each in done if not context.hub.book.has_event(each)]
        final = messages.subscribed(done, command.id, unknown=unknown, slab=command.slab)
        self._answer(errors, final if done else b"", command.id, command.slab)
        if behind:
            context.replayer(self._cursor, behind, left, self._connection.address)
        if not self._cursor.slabs and any(error.code == "slab_limit" for error in errors):
            self._connection.close(closes.CLOSE_SLAB)

    def _unsubscribe(self, command: commands.Unsubscribe) -> None:
        done, errors = [], list(command.errors)
        for channel in command.channels:
            try:
                self._leave(channel)
            except RequestError as error:
                errors.append(error)
            else:
                done.append(channel)
        final = messages.unsubscribed(done, command.id, command.slab) if done else b""
        self._answer(errors, final, command.id, command.slab)

    def _leave(self, channel: Channel) -> None:
        """Unsubscribe. Raises RequestError if the client does not follow the channel."""
        behind = self._context.hub.unsubscribe(self._cursor, channel)
        if behind:
            context = self._context
            limit = context.limits.replay or None
            context.replayer(self._cursor, behind, limit, self._connection.address)

    def _answer(
        self,
        errors: list[RequestError],
        final: bytes,
        request_id: commands.RequestId,
        slab: str | None = None,
        *,
        max_errors: int = MAX_ERRORS,
    ) -> None:
        replies = [messages.error(error, request_id, slab) for error in errors[:max_errors]]
        if len(errors) > max_errors:
            replies.append(messages.more_errors(len(errors) - max_errors, request_id))
        if final:
            replies.append(final)
        self._reply(b"".join(replies), len(replies))

    def _reply(self, data: bytes, messages: int = 1) -> None:
        self._cursor.sent_at = self._context.clock()
        self._context.stats.messages_sent += messages
        self._context.stats.bytes_sent += len(data)
        self._connection.reply(data)


def _error(code: str, channel: Channel | None = None) -> RequestError:
    return RequestError(code, closes.ERRORS[code], None if channel is None else channel.name)
