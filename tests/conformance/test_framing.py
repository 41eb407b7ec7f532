"""The findings of the conformance suite about order and closing, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from tests.conformance.echo_server import echo_gateway

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


@contextlib.asynccontextmanager
async def client(
    max_buffered_bytes: int | None = None,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw client of an echo gateway, after the upgrade."""
    gateway = echo_gateway(max_buffered_bytes)
    reader, writer = await asyncio.open_connection(*await gateway.start("127.0.0.1", 0))
    try:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        yield reader, writer
    finally:
        writer.transport.abort()
        await gateway.stop(drain_seconds=0)


async def write_without_end(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def test_a_message_comes_back_with_its_type_and_content() -> None:
    """Text as text, binary as binary, fragments as one message."""
    async with client() as (reader, writer):
        writer.write(masked(Opcode.TEXT, b"words"))
        assert await reader.readexactly(7) == b"\x81\x05words"
        writer.write(masked(Opcode.BINARY, b"\xff\x00"))
        assert await reader.readexactly(4) == b"\x82\x02\xff\x00"
        writer.write(masked(Opcode.TEXT, b"in ", fin=False) + masked(Opcode.CONT, b"two"))
        assert await reader.readexactly(8) == b"\x81\x06in two"


async def test_a_pong_goes_out_before_the_answer_to_a_later_message() -> None:
    """Even if ping and message arrive in one read, between two fragments."""
    async with client() as (reader, writer):
        writer.write(
            masked(Opcode.TEXT, b"in ", fin=False)
            + masked(Opcode.PING, b"now")
            + masked(Opcode.CONT, b"two")
        )
        assert await reader.readexactly(5 + 8) == b"\x8a\x03now" + b"\x81\x06in two"


async def test_a_message_just_before_the_close_is_answered_before_the_close() -> None:
    """Nothing goes out after a close frame."""
    async with client() as (reader, writer):
        writer.write(masked(Opcode.TEXT, b"last") + masked(Opcode.CLOSE, b"\x03\xe8"))
        assert await reader.read() == b"\x81\x04last" + b"\x88\x02\x03\xe8"


@pytest.mark.parametrize(
    "asked",
    [
        masked(Opcode.TEXT, b"x" * 990) + masked(Opcode.TEXT, b"y") * 200,
        masked(Opcode.PING, b"") * 10_000,
    ],
    ids=["messages", "pings"],
)
async def test_a_client_that_sends_and_does_not_read_is_cut_off_in_the_middle_of_a_read(
    asked: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What follows in the same read finds no session and no socket, and causes no error."""
    faults: list[dict[str, Any]] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", faults.append)
    async with client(max_buffered_bytes=1_000) as (_, writer):
        with pytest.raises(ConnectionError):
            await write_without_end(writer, asked)
    assert faults == []
    assert caplog.messages == []
