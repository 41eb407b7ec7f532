"""A WebSocket client of the tests' own: it speaks in frames, right or wrong, and records all.

Nothing in it hides what the gateway does: no compression, no reconnect, and pongs, closing
handshakes and reading itself can be left out. `websockets` has its say in one test of its own.
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

PATIENCE = 20.0
"""Seconds until a wait counts as in vain; far more than anything here takes."""
UPGRADED = b"HTTP/1.1 101 "

Message = dict[str, Any]


def upgrade(path: str = "/ws", headers: Mapping[str, str] | None = None) -> bytes:
    """Give the head of a request to upgrade; `headers` come besides, or instead."""
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
    """Frame something as a client does, masked."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    """Frame a close."""
    return frame(Close(code, reason).serialize(), Opcode.CLOSE)


class Client(asyncio.Protocol):
    """One socket to a gateway, and everything that came through it."""

    def __init__(self) -> None:
        self.head = b""
        """The head of the answer to the request, once it is there."""
        self.texts: list[bytes] = []
        """The payloads of all text messages, in order."""
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close_received: Close | None = None
        self.lost: BaseException | bool | None = False
        """False while the socket is open; then what ended it, None for an orderly end."""
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
        """Open the socket alone.

        `local` is the address that it comes from, `receive_buffer` the bytes that the kernel holds
        for one that does not read.
        """
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        try:
            sock.setblocking(False)  # noqa: FBT003 - the name of the call says it
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
        """Wait until the request was answered, in whatever way, or cut off."""
        await self.until(lambda: bool(self.head) or self.lost is not False)

    async def opened(self) -> Self:
        """Wait until the upgrade was answered with 101."""
        await self.answered()
        assert self.head.startswith(UPGRADED), (self.head, self.lost)
        return self

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take apart what came; frames of a server are never masked."""
        data = self._rest + data
        if not self.head:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = data
                return
            self.head, data = head, rest
        if self.head.startswith(UPGRADED):
            data = self._take_frames(data)
        self._rest = data
        self._news.set()

    def eof_received(self) -> bool:
        """Keep our side open: a half-closed connection is for the gateway to end."""
        self._news.set()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note it."""
        self.lost = exc
        self._news.set()

    def _take_frames(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start]) if start <= end else end
            if start + size > end:
                break
            self._take_frame(data[at], data[start : start + size])
            at = start + size
        return data[at:]

    def _take_frame(self, first: int, payload: bytes) -> None:
        assert first & 0xF0 == 0x80, f"a frame of a gateway is whole, with no extension: {first:x}"
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

    # What a test asks for.

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transport.write(data)

    def send(self, message: object) -> None:
        """Send one message: a text, bytes as a binary one, anything else as JSON."""
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
        """Wait until something holds that what comes in can change."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def has(self, count: int) -> None:
        """Wait until so many text messages have come in all."""
        await self.until(lambda: len(self.texts) >= count or self.lost is not False)
        news = self.texts[self._read :]
        assert len(self.texts) >= count, (news[:20], self.close_received, self.lost)

    async def receive(self) -> Message:
        """Give the next text message that was not given yet."""
        return (await self.take(1))[0]

    async def take(self, count: int) -> list[Message]:
        """Give the next `count` text messages."""
        end = self._read + count
        await self.has(end)
        taken = [json.loads(text) for text in self.texts[self._read : end]]
        self._read = end
        return taken

    async def up_to(self, last: Callable[[Message], bool]) -> list[Message]:
        """Give the next text messages up to the first for which `last` says so."""
        taken = [await self.receive()]
        while not last(taken[-1]):
            taken.append(await self.receive())
        return taken

    async def up_to_type(self, name: str) -> list[Message]:
        """Give the next text messages up to the first of a type."""
        return await self.up_to(lambda message: message["type"] == name)

    async def subscribed(self, *channels: str, **fields: object) -> list[Message]:
        """Subscribe, and wait for the reply; give what came up to it."""
        self.subscribe(*channels, **fields)
        return await self.up_to_type("subscribed")

    async def answer_to_ping(self) -> list[Message]:
        """Send a JSON ping, and give what came up to its pong: all replies asked for before."""
        self.send({"type": "ping", "id": "barrier"})
        return await self.up_to(lambda message: message.get("id") == "barrier")

    async def closed(self) -> tuple[int, str]:
        """Wait for the close frame; give its code and reason."""
        await self.until(lambda: self.close_received is not None or self.lost is not False)
        assert self.close_received is not None, f"no close frame came: {self.lost!r}"
        return int(self.close_received.code), self.close_received.reason

    async def gone(self) -> None:
        """Wait until the socket is closed."""
        await self.until(lambda: self.lost is not False)

    def stop_reading(self) -> None:
        """Leave everything that comes to the kernel, until `go_on_reading`."""
        self.transport.pause_reading()

    def go_on_reading(self) -> None:
        """Take what has come meanwhile, and what comes."""
        self.transport.resume_reading()

    def close_its_side(self) -> None:
        """Close our side of TCP; nothing can be said any more, also no pong."""
        self.answers_pings = self.answers_close = False
        self.transport.write_eof()

    def abort(self) -> None:
        """End it at once, without a word."""
        self.transport.abort()

    def reset(self) -> None:
        """End it with a TCP reset instead of an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()
