"""The client for Python programs: follows channels, reconnects and resumes by itself.

    from percolator.client import Gap, follow

    async for message in follow("ws://localhost:3001", ["trades:SOL", "price:SOL"]):
        match message:
            case Gap():
                print("missing:", message)
            case _:
                print(message.seq, message.event)

Each trade and each funding rate comes once and in order, over any number of reconnects and from any
gateway that reads the same stream; events that are lost come as a `Gap`.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic_core import to_json
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.uri import parse_uri

from percolator import openssl
from percolator.client_connection import OPEN_SECONDS, open_connection, receive
from percolator.errors import GatewayUnreachableError, MessageError, RequestError
from percolator.model.channel import Channel
from percolator.model.kinds import Event
from percolator.model.server_messages import (
    Closing,
    Connected,
    Delivery,
    Missing,
    Refused,
    Subscribed,
)
from percolator.printable import printable

FIRST_DELAY = 0.25
LONGEST_DELAY = 10.0
REASON_CHARS = 200
"""Characters of a gateway's text in a reason."""
REQUEST_CHARS = 3_000
"""Characters of channel names in one request: a gateway takes 4,096 bytes per message."""
HOPELESS = frozenset({"invalid_message", "invalid_channel", "unauthorized", "channel_limit"})
"""Errors that another attempt would get again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """One event. `prev` is the seq of the channel's event before it; None for prices."""

    channel: str
    seq: int
    prev: int | None
    event: Event
    snapshot: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a channel after one seq and before another are lost.

    `epoch` is set if the stream was replaced: later seqs are of the new one. `announced` is False
    if the gateway sent no gap although it should have.
    """

    channel: str
    after: int
    before: int
    epoch: str | None = None
    announced: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """The connection's state, and why: `connecting`, `live`, or `waiting` for `delay` seconds."""

    name: str
    reason: str = ""
    delay: float = 0.0


Message = Update | Gap


async def follow(
    url: str,
    channels: Sequence[str],
    *,
    since: int | Mapping[str, int] | None = None,
    epoch: str | None = None,
    recent: int = 0,
    token: str | None = None,
    on_state: Callable[[State], None] | None = None,
) -> AsyncGenerator[Message]:
    """Follow channels until the caller stops iterating.

    `since` and `epoch` continue where an earlier run left off; `recent` asks for the last events
    too. Raises RequestError if the gateway refuses for good (a channel or a token that is not
    valid). An unreachable gateway is tried again forever.
    """
    address = _address(url)
    follower = _Follower(list(channels), since, epoch, recent, token)
    tell = on_state or (lambda _state: None)
    failures = 0
    while True:
        tell(State("connecting"))
        follower.fresh, reason, opened = False, "", time.monotonic()
        try:
            socket = await open_connection(address, token)
            try:
                async for message in follower.read(socket, tell):
                    yield message
            finally:
                await socket.close()
        except ConnectionClosed as closed:
            reason = closed.rcvd.reason if closed.rcvd else "the connection was lost"
        except MessageError as error:
            follower.fresh = False  # the next attempt may get the same message
            reason = f"the gateway sent an invalid message: {error}"
        except ssl.SSLError as error:
            reason = f"the TLS handshake failed: {openssl.reason(error)}"
        except (OSError, InvalidHandshake, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        failures = 0 if follower.fresh else failures + 1
        delay = follower.delay(failures, time.monotonic() - opened)
        tell(State("waiting", printable(reason, REASON_CHARS), delay))
        await asyncio.sleep(delay)


def websocket_url(url: str) -> str:
    """Return the WebSocket URL of a gateway from any URL of it (http, https, ws, wss; any path)."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, "/ws", "", ""))


def _address(url: str) -> str:
    """Return the WebSocket URL of a gateway. Raises GatewayUnreachableError if it has none."""
    try:
        address = websocket_url(url)
        parse_uri(address)
    except (InvalidURI, ValueError):
        raise GatewayUnreachableError(f"{url} is not the address of a gateway") from None
    return address


class _Follower:
    """What is known of each channel, over all connections."""

    def __init__(
        self,
        channels: list[str],
        since: int | Mapping[str, int] | None,
        epoch: str | None,
        recent: int,
        token: str | None,
    ) -> None:
        self.fresh = False
        """True once this connection has brought an answer: then the back-off starts again."""
        self._channels = channels
        self._recent = recent
        self._token = token
        self._epoch = ""
        """The epoch of the stream that the gateway reads."""
        self._last: dict[str, int] = {}
        """The seq of the last event of each lossless channel, or of the gap after it."""
        self._resume: dict[str, tuple[str | None, int]] = {}
        """The epoch and seq to resume each of them at, also before its first event has come."""
        self._asked_to_wait: float | None = None
        self._names = frozenset(channels)
        self._lossless = [name for name in channels if _is_lossless(name)]
        for channel in self._lossless if since is not None else ():
            seq = since.get(channel) if isinstance(since, Mapping) else since
            if seq is not None:
                self._last[channel], self._resume[channel] = seq, (epoch, seq)

    def delay(self, failures: int, lasted: float) -> float:
        """Return the seconds until the next attempt: as the gateway asked, else with jitter.

        A gateway cannot ask for more than four attempts per second: the connection `lasted` so
        many seconds.
        """
        asked, self._asked_to_wait = self._asked_to_wait, None
        if asked is not None:
            return max(asked, FIRST_DELAY - lasted)
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures, 10))
        return random.uniform(0, longest)  # noqa: S311 - jitter

    async def read(
        self, socket: ClientConnection, tell: Callable[[State], None]
    ) -> AsyncGenerator[Message]:
        """Subscribe on a new connection, and yield what the gateway sends. Raises MessageError."""
        async with asyncio.timeout(OPEN_SECONDS):
            hello = await receive(socket)
        if not isinstance(hello, Connected):
            raise MessageError("the first one is not connected")
        self._epoch = hello.epoch
        for request in self._requests():
            await socket.send(to_json(request).decode())
        while True:
            match await receive(socket):
                case Delivery() | Missing() as message:
                    self.fresh = True
                    for given in self._given(message):
                        yield given
                case Subscribed(channels=channels):
                    if not self.fresh:
                        tell(State("live"))
                    self.fresh = True
                    self._subscribed(channels, hello)
                case Closing(reconnectInMs=wait):
                    self._asked_to_wait = None if wait is None else wait / 1_000
                case Refused() as refused:
                    _raise_if_final(refused)

    def _requests(self) -> Iterator[dict[str, Any]]:
        """Yield requests for all channels: each is of one epoch, and fits into a message."""
        by_epoch: dict[str | None, list[str]] = {}
        for channel in self._channels:
            epoch, _ = self._resume.get(channel, (self._epoch, 0))
            by_epoch.setdefault(epoch, []).append(channel)
        for epoch, channels in by_epoch.items():
            for part in _parts(channels):
                since = {name: self._resume[name][1] for name in part if name in self._resume}
                request: dict[str, Any] = {"type": "subscribe", "channels": part}
                if since:
                    request["since"] = since
                    if epoch is not None:
                        request["epoch"] = epoch
                elif self._recent:
                    request["recent"] = self._recent
                yield request

    def _subscribed(self, channels: list[str], hello: Connected) -> None:
        """Record where to resume channels that have had no event yet."""
        for channel in channels:
            if channel not in self._lossless:
                continue
            known, seq = self._resume.get(channel, (None, hello.seq))
            if known is None:
                self._resume[channel] = hello.epoch, min(seq, hello.seq)
                if seq > hello.seq:  # the gateway goes on from where the stream is: so do we
                    self._last.pop(channel, None)

    def _given(self, message: Delivery | Missing) -> Iterator[Message]:
        """Yield what the caller gets for a message: nothing if it did not ask for the channel."""
        if message.channel not in self._names:
            return
        if isinstance(message, Missing):
            yield self._gap(message)
        else:
            yield from self._event(message)

    def _event(self, delivery: Delivery) -> Iterator[Message]:
        channel, seq, prev = delivery.channel, delivery.seq, delivery.prev
        if delivery.event.kind.lossless:
            last = self._last.get(channel)
            if last is not None and seq <= last:
                return
            self._last[channel], self._resume[channel] = seq, (self._epoch, seq)
            if last is not None and prev is not None and prev > last:
                yield Gap(channel, last, seq, announced=False)
        yield Update(channel, seq, prev, delivery.event, delivery.snapshot)

    def _gap(self, gap: Missing) -> Gap:
        """Record a gap; with an epoch, the channel goes on in that stream."""
        if gap.epoch is not None:
            self._epoch = gap.epoch
        known, _ = self._resume.get(gap.channel, (self._epoch, 0))
        last = self._last.get(gap.channel, -1) if known == self._epoch else -1
        seq = max(gap.before - 1, last)
        self._last[gap.channel], self._resume[gap.channel] = seq, (self._epoch, seq)
        return Gap(gap.channel, gap.after, gap.before, gap.epoch)


def _is_lossless(name: str) -> bool:
    """True for a lossless channel; for an invalid name too: the gateway refuses it."""
    channel = Channel.parse(name)
    return channel is None or channel.kind.lossless


def _raise_if_final(refused: Refused) -> None:
    """Raise RequestError for an error that another attempt would get again; log the others."""
    error = RequestError(refused.code, refused.message, refused.channel)
    if error.code in HOPELESS:
        raise error
    logger.warning("the gateway says: %s", error)


def _parts(channels: list[str]) -> list[list[str]]:
    """Cut a list of channels into parts that fit into a message, each named there up to twice."""
    parts: list[list[str]] = []
    room = 0
    for channel in channels:
        size = 2 * len(channel) + 24
        if size > room:
            parts.append([])
            room = REQUEST_CHARS
        parts[-1].append(channel)
        room -= size
    return parts
