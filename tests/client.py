"""A WebSocket client for the tests: it sends any frames, valid or not, and records everything.

It hides nothing that the gateway does: it has no compression and no reconnect, and pongs, closing
handshakes and reading itself can be switched off. One test uses the `websockets` library instead.
"""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Self

from websockets.frames import Close, Frame, Opcode

PATIENCE = 40.0
"""Seconds until a wait fails; far more than anything here needs."""
UPGRADED = b"HTTP/1.1 101 "

Message = dict[str, Any]


def upgrade(path: str = "/ws", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the head of an upgrade request; `headers` add to the usual fields or replace them."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **(headers or {}),
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a masked frame, as a client sends it."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    """Return a close frame."""
    return frame(Close(code, reason).serialize(), Opcode.CLOSE)


class Client(asyncio.Protocol):
    """One socket to a gateway, and everything received through it."""

    def __init__(self) -> None:
        self.head = b""
        """The head of the response, once it has arrived."""
        self.texts: list[bytes] = []
        """The payloads of all text messages, in order."""
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close_received: Close | None = None
        self.lost: BaseException | bool | None = False
        """False while the socket is open; then the error that ended it, None for an orderly end."""
        self.answers_pings = True
        self.answers_close = True
        self.transport: asyncio.Transport
        self._rest = b""
        self._read = 0
        self._news = asyncio.Event()

    @classmethod
    async def dial(
        cls, host: str, port: int, *, local: str = "", receive_buffer: int | None = None
    ) -> Self:
        """Open the socket and send nothing.

        `local` is the source address, `receive_buffer` the bytes that the kernel holds for a client
        that does not read.
        """
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        try:
            sock.setblocking(False)  # noqa: FBT003 - the method's name explains the argument
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.bind((local, 0))
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(sock, (host, port))
                _, client = await loop.create_connection(cls, sock=sock)
        except BaseException:
            sock.close()
            raise
        return client

    async def answered(self) -> None:
        """Wait until the request has been answered in any way, or the connection was cut off."""
        await self.until(lambda: bool(self.head) or self.lost is not False)

    async def opened(self) -> Self:
        """Wait until the upgrade was answered with 101."""
        await self.answered()
        assert self.head.startswith(UPGRADED), (self.head, self.lost)
        return self

    # Calls from asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; frames from a server are never masked."""
        data = self._rest + data
        if not self.head:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = data
                return
            self.head, data = head, rest
        if self.head.startswith(UPGRADED):
            data = self._read_frames(data)
        self._rest = data
        self._news.set()

    def eof_received(self) -> bool:
        """Keep our side open: a half-closed connection is for the gateway to close."""
        self._news.set()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Record the end."""
        self.lost = exc
        self._news.set()

    def _read_frames(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start]) if start <= end else end
            if start + size > end:
                break
            self._read_frame(data[at], data[start : start + size])
            at = start + size
        return data[at:]

    def _read_frame(self, first: int, payload: bytes) -> None:
        assert first & 0xF0 == 0x80, f"a gateway sends whole frames without extensions: {first:x}"
        match first & 0x0F:
            case Opcode.TEXT:
                self.texts.append(payload)
            case Opcode.PING:
                self.pings.append(payload)
                if self.answers_pings:
                    self.write(frame(payload, Opcode.PONG))
            case Opcode.PONG:
                self.pongs.append(payload)
            case Opcode.CLOSE:
                self.close_received = Close.parse(payload)
                if self.answers_close:
                    self.write(close_frame(self.close_received.code))
            case opcode:
                raise AssertionError(f"a gateway sends no frame of opcode {opcode}")

    # Calls from tests.

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self.transport.write(data)

    def send(self, message: object) -> None:
        """Send one message: a string as text, bytes as binary, anything else as JSON."""
        if isinstance(message, bytes):
            self.write(frame(message, Opcode.BINARY))
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self.write(frame(text.encode()))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        self.answers_close = False
        self.write(close_frame(code, reason))

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping frame."""
        self.write(frame(payload, Opcode.PING))

    def subscribe(self, *channels: str, **fields: object) -> None:
        """Send a subscribe."""
        self.send({"type": "subscribe", "channels": list(channels), **fields})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds that only incoming data can change."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def wait_for_count(self, count: int) -> None:
        """Wait until `count` text messages have arrived since the connection opened."""
        await self.until(lambda: len(self.texts) >= count or self.lost is not False)
        news = self.texts[self._read :]
        assert len(self.texts) >= count, (news[:20], self.close_received, self.lost)

    async def receive(self) -> Message:
        """Return the next text message."""
        return (await self.receive_many(1))[0]

    async def receive_many(self, count: int) -> list[Message]:
        """Return the next `count` text messages."""
        end = self._read + count
        await self.wait_for_count(end)
        taken = [json.loads(text) for text in self.texts[self._read : end]]
        self._read = end
        return taken

    async def receive_until(self, last: Callable[[Message], bool]) -> list[Message]:
        """Return the next text messages, up to the first for which `last` is true."""
        taken = [await self.receive()]
        while not last(taken[-1]):
            taken.append(await self.receive())
        return taken

    async def receive_until_type(self, name: str) -> list[Message]:
        """Return the next text messages, up to the first of a type."""
        return await self.receive_until(lambda message: message["type"] == name)

    async def subscribed(self, *channels: str, **fields: object) -> list[Message]:
        """Subscribe and wait for the reply; return the messages up to and with it."""
        self.subscribe(*channels, **fields)
        return await self.receive_until_type("subscribed")

    async def receive_until_pong(self) -> list[Message]:
        """Send a JSON ping; return the messages up to its pong, so all earlier replies too."""
        self.send({"type": "ping", "id": "barrier"})
        return await self.receive_until(lambda message: message.get("id") == "barrier")

    async def closed(self) -> tuple[int, str]:
        """Wait for the close frame; return its code and reason."""
        await self.until(lambda: self.close_received is not None or self.lost is not False)
        assert self.close_received is not None, f"no close frame came: {self.lost!r}"
        return int(self.close_received.code), self.close_received.reason

    async def gone(self) -> None:
        """Wait until the socket is closed."""
        await self.until(lambda: self.lost is not False)

    def stop_reading(self) -> None:
        """Leave everything that arrives in the kernel until `resume_reading`."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read what has arrived in the meantime, and all that follows."""
        self.transport.resume_reading()

    def close_write_side(self) -> None:
        """Close our side of TCP; nothing can be sent any more, not even a pong."""
        self.answers_pings = self.answers_close = False
        self.transport.write_eof()

    def abort(self) -> None:
        """End the connection at once, without a close frame."""
        self.transport.abort()

    def reset(self) -> None:
        """End the connection with a TCP reset instead of an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()
