"""The crowd: the sockets of a load test, each with its reader, and who of them was refused."""

import asyncio
import errno
import socket
import ssl
import time
from collections import Counter
from typing import Any

from percolator_cli.gateway import GatewayAddress, unreachable
from percolator_cli.loadtest import wire
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.reader import Reader
from percolator_cli.loadtest.reference import Reference

OPEN_SECONDS = 10.0
"""For a connection, from the first packet to the answer to its subscribe."""
AT_ONCE = 32
"""Connections that are on their way in at one time."""
READ_BYTES = 262_144
MAX_HEAD_BYTES = 16_384
NO_CODE = 1006
"""What an end without a close frame is counted as."""


class LoadClient(asyncio.BufferedProtocol):
    """One connection of the crowd. All of them read into one buffer, one after the other."""

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
        """Done when its subscribe is answered, or it is clear that it will not be."""
        self.opened = 0.0
        """When the upgrade was answered, by the performance counter."""
        self.ended: Refusal | None = None
        self._view = memoryview(buffer)
        self._channels = channels
        self._request, self._accept = request
        self._head: bytes | None = b""
        self._error: Refusal | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Give the shared buffer: what is read into it is used up at once."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        now = time.perf_counter()
        data = self._view[:nbytes]
        if self._head is not None:
            data = self._read_head(bytes(data), now)
        if data:
            self.reader.feed(data, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, where nobody has said why."""
        reason = (getattr(exc, "strerror", None) or str(exc)).lower() if exc else "connection ended"
        self.end(Refusal(str(NO_CODE), reason))

    def end(self, why: Refusal) -> None:
        """Take note that it is over; the first reason counts."""
        self.ended = self.ended or why
        if not self.settled.done():
            self.settled.set_result(self.ended)

    def on_message(self, message: dict[str, Any]) -> None:
        """Take a message that is no event."""
        match message.get("type"):
            case "connected":
                self.transport.write(self._subscribe(message))
            case "subscribed":
                if not self.settled.done():
                    self.settled.set_result(None)
            case "error":
                self._error = Refusal(message["code"], message["message"])
                if not self.settled.done() and message["code"] != "slab_limit":
                    self.end(self._error)  # after slab_limit comes a close frame with the code

    def on_control(self, first: int, payload: bytes) -> None:
        """Answer a ping; note a close."""
        if first == wire.PING:
            self.transport.write(wire.pong(payload))
        elif first == wire.CLOSE:
            code = int.from_bytes(payload[:2]) or NO_CODE
            self.end(Refusal(str(code), payload[2:].decode(errors="replace")))
            self.transport.close()

    def _subscribe(self, greeting: dict[str, Any]) -> bytes:
        request: dict[str, Any] = {"type": "subscribe", "channels": self._channels}
        if self.reader.since is None:
            self.reader.since = greeting["seq"]
            request |= {"since": greeting["seq"], "epoch": greeting["epoch"]}
        return wire.message(request)

    def _read_head(self, data: bytes, now: float) -> memoryview:
        """Gather the answer to the upgrade; give what follows it."""
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


class ClientPool:
    """All connections to one gateway."""

    def __init__(self, gateway: GatewayAddress, token: str | None) -> None:
        self.open: list[LoadClient] = []
        self.handshakes = Histogram()
        """From the first packet to the answer to the upgrade."""
        self.refusals: Counter[Refusal] = Counter()
        self.one_address = False
        """True where this machine does not let us come from many addresses."""
        self._gateway = gateway
        self._token = token
        self._buffer = bytearray(READ_BYTES)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tls = ssl.create_default_context() if gateway.secure else None
        self._peer: tuple[socket.AddressFamily, str] | None = None

    async def find(self) -> None:
        """Look up where the gateway is. Raises GatewayUnreachableError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._gateway.host, self._gateway.port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise unreachable(self._gateway, error) from None
        found.sort(key=lambda each: each[0] != socket.AF_INET)
        family, _, _, _, address = found[0]
        self._peer = family, str(address[0])

    @property
    def present(self) -> list[LoadClient]:
        """Those who came in and are still there."""
        return [visitor for visitor in self.open if visitor.ended is None]

    @property
    def ends(self) -> Counter[Refusal]:
        """How the connections of the others ended, and of how many."""
        return Counter(visitor.ended for visitor in self.open if visitor.ended)

    async def enter(
        self, channels: list[str], source: str | None, reference: Reference, since: int | None
    ) -> None:
        """Bring one more client in, or count why not. `since` as in its reader."""
        async with self._room:
            started = time.perf_counter()
            host = f"{self._gateway.host}:{self._gateway.port}"
            request = wire.upgrade(host, f"{self._gateway.prefix}/ws", self._token)
            visitor = LoadClient(self._buffer, channels, reference, request)
            visitor.reader.since = since
            refusal = await self._connect(visitor, source)
        if visitor.opened:
            self.handshakes.add(visitor.opened - started)
        if refusal is None:
            self.open.append(visitor)
        else:
            self.refusals[refusal] += 1

    async def _connect(self, visitor: LoadClient, source: str | None) -> Refusal | None:
        assert self._peer is not None
        family, address = self._peer
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: visitor,
                    address,
                    self._gateway.port,
                    family=family,
                    ssl=self._tls,
                    server_hostname=self._gateway.host if self._tls else None,
                    local_addr=(source, 0) if source and not self.one_address else None,
                )
                return await visitor.settled
        except TimeoutError:
            visitor.end(Refusal("timeout", f"no answer in {OPEN_SECONDS:g} s"))
            if hasattr(visitor, "transport"):
                visitor.transport.abort()
            return visitor.ended
        except OSError as error:
            if source and error.errno == errno.EADDRNOTAVAIL:
                self.one_address = True
                return await self._connect(visitor, None)
            visitor.end(Refusal("TCP", (error.strerror or str(error)).lower()))
            return visitor.ended

    def leave(self) -> None:
        """Close all connections, and say so to the gateway."""
        for visitor in self.present:
            visitor.transport.write(wire.closing())
            visitor.transport.close()
