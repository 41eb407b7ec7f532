"""Who listens at an address is told apart, quickly."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from percolator.jetstream.embedded import probe as module
from percolator.jetstream.embedded.probe import Listener, probe
from tests.nats_server import LOOPBACK, NatsServer, ReservedPort

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[str]:
    """The address of a TCP server that does `talk` with each connection, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield f"nats://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"


async def test_a_nats_server_is_nats(nats_process: NatsServer) -> None:
    """With the scheme, or without."""
    assert await probe(nats_process.url) is Listener.NATS
    assert await probe(nats_process.url.removeprefix("nats://")) is Listener.NATS


async def test_a_closed_port_is_nobody() -> None:
    """A refused connection."""
    port = ReservedPort()
    try:
        assert await probe(f"nats://{LOOPBACK}:{port.number}") is Listener.NOBODY
    finally:
        port.release()


@pytest.mark.parametrize("url", ["nats://a..b:4222", "nats://127.0.0.1:port", "nats://[:4222"])
async def test_what_is_no_address_is_nobody(url: str) -> None:
    """Whoever connects to it later says what is wrong with it."""
    assert await probe(url) is Listener.NOBODY


async def test_what_says_nothing_is_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes the connection, and nobody greets in time; a frozen NATS, for instance."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"nats://{LOOPBACK}:{silent.getsockname()[1]}"
        assert await probe(url) is Listener.OTHER


async def test_what_says_something_else_is_something_else() -> None:
    """An SSH server, for instance."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await writer.drain()

    async with listening(talk) as url:
        assert await probe(url) is Listener.OTHER


async def test_what_hangs_up_is_something_else() -> None:
    """It took the connection, so the port is in use."""

    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        """Say nothing."""

    async with listening(talk) as url:
        assert await probe(url) is Listener.OTHER
