"""One client of a load test: a WebSocket connection that subscribes and feeds its reader."""

import asyncio
import time

from percolator.client.bookmark import Position
from percolator.client.channel import Channel
from percolator.client.requests import Request, subscribes
from percolator.errors import MessageError
from percolator.model.server_messages import (
    Connected,
    FeedChange,
    FeedState,
    Heartbeat,
    Refused,
    ServerMessage,
    Subscribed,
)
from percolator_cli.loadtest import wire
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.pacing import paced
from percolator_cli.loadtest.reader import Reader
from percolator_cli.loadtest.reference import Reference

MAX_HEAD_BYTES = 16_384
MAX_UNSENT_BYTES = 65_536
"""Pongs that a gateway may leave unread."""
NO_CODE = 1006
"""The close code counted for a connection that ends without a close frame (RFC 6455)."""


class LoadClient(asyncio.BufferedProtocol):
    """One connection. All clients read into the same buffer, one after the other."""

    transport: asyncio.Transport

    def __init__(
        self,
        buffer: bytearray,
        channels: list[str],
        reference: Reference,
        request: tuple[bytes, bytes],
    ) -> None:
        self.reader = Reader(reference, self.on_message, self.on_control)
        self.settled: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        """Done when the subscribe is answered (None) or the connection is refused."""
        self.opened = 0.0
        """When the upgrade was answered, by `time.perf_counter`."""
        self.ended: Refusal | None = None
        self.heartbeats = 0
        self._stale = 0.0
        self._stale_since: float | None = None
        self._view = memoryview(buffer)
        self._channels = channels
        self._requests: list[tuple[Request, float]] = []
        """Subscribes that are not sent yet, each with how long it waits."""
        self._request, self._accept = request
        self._head: bytes | None = b""
        self._error: Refusal | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the upgrade request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the shared buffer: its contents are processed before the next read."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Process the bytes that were read."""
        now = time.perf_counter()
        data = self._view[:nbytes]
        if self._head is not None:
            data = self._read_head(bytes(data), now)
        if not data:
            return
        try:
            self.reader.feed(data, now)
        except MessageError as error:
            self.end(Refusal("protocol", f"the gateway sent an invalid message: {error}"))
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the end, unless its reason is known already."""
        reason = (getattr(exc, "strerror", None) or str(exc)).lower() if exc else "connection ended"
        self.end(Refusal(str(NO_CODE), reason))

    def end(self, why: Refusal) -> None:
        """Record why the connection ended; the first reason counts."""
        self.ended = self.ended or why
        if not self.settled.done():
            self.settled.set_result(self.ended)

    def on_message(self, message: ServerMessage) -> None:
        """Handle a message that is not an event."""
        match message:
            case Connected():
                self._feed_is(message.feed)
                self._requests = self._plan_requests(message)
                self._send_next()
            case FeedChange():
                self._feed_is(message)
            case Heartbeat():
                self.heartbeats += 1
            case Subscribed() if self._requests:
                self._send_next()
            case Subscribed():
                if not self.settled.done():
                    self.settled.set_result(None)
            case Refused(code=code):
                self._error = Refusal(code, message.message)
                if not self.settled.done() and code != "slab_limit":
                    self.end(self._error)  # after slab_limit, the close frame says more

    def on_control(self, first: int, payload: bytes) -> None:
        """Answer a ping, or record a close. Raises MessageError."""
        if first == wire.PING:
            if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                raise MessageError("another ping, without reading the pongs")
            self.transport.write(wire.pong(payload))
        elif first == wire.CLOSE:
            code = int.from_bytes(payload[:2]) or NO_CODE
            self.end(Refusal(str(code), payload[2:].decode(errors="replace")))
            self.transport.close()

    def stale_for(self, now: float) -> float:
        """Return for how many seconds it was told that the feed is stale."""
        return self._stale + (0 if self._stale_since is None else now - self._stale_since)

    def _feed_is(self, feed: FeedState) -> None:
        now = time.perf_counter()
        self._stale = self.stale_for(now)
        self._stale_since = now if feed.state == "stale" else None

    def _plan_requests(self, greeting: Connected) -> list[tuple[Request, float]]:
        start = None
        if self.reader.since is None:
            self.reader.since = greeting.seq
            start = Position(greeting.epoch, greeting.seq)
        channels = [Channel(name, start=start) for name in self._channels]
        return list(paced(subscribes(channels, greeting.limits), greeting.limits))

    def _send_next(self) -> None:
        """Send the next subscribe, when the gateway's rate allows it."""
        request, pause = self._requests.pop(0)
        asyncio.get_running_loop().call_later(pause, self._send, request)

    def _send(self, request: Request) -> None:
        if not self.transport.is_closing():
            self.transport.write(wire.message(request))

    def _read_head(self, data: bytes, now: float) -> memoryview:
        """Collect the response to the upgrade and return the bytes after it."""
        assert self._head is not None
        self._head += data
        end = self._head.find(wire.HEAD_END)
        if end < 0:
            if len(self._head) > MAX_HEAD_BYTES:
                self.transport.abort()
            return memoryview(b"")
        end += len(wire.HEAD_END)
        head, rest, self._head = self._head[:end], self._head[end:], None
        refused = wire.refusal(head, self._accept)
        if refused is not None:
            self.end(Refusal(refused, rest.decode(errors="replace").strip()[:100]))
            self.transport.abort()
            return memoryview(b"")
        self.opened = now
        return memoryview(rest)
