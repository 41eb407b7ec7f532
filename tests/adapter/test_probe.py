"""The probe tells quickly what listens at an address."""

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
    """The address of a TCP server that runs `talk` on each connection, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield f"nats://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"


async def test_the_probe_recognizes_a_nats_server(nats_process: NatsServer) -> None:
    """With or without the scheme."""
    assert await probe(nats_process.url) is Listener.NATS
    assert await probe(nats_process.url.removeprefix("nats://")) is Listener.NATS


async def test_the_probe_finds_nothing_on_a_closed_port() -> None:
    """The connection is refused."""
    port = ReservedPort()
    try:
        assert await probe(f"nats://{LOOPBACK}:{port.number}") is Listener.NOTHING
    finally:
        port.release()


@pytest.mark.parametrize("url", ["nats://a..b:4222", "nats://127.0.0.1:port", "nats://[:4222"])
async def test_the_probe_finds_nothing_at_an_invalid_address(url: str) -> None:
    """A later connect reports what is wrong with it."""
    assert await probe(url) is Listener.NOTHING


async def test_the_probe_reports_a_silent_server_as_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel accepts the connection, but no greeting comes; for example, from a frozen NATS."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"nats://{LOOPBACK}:{silent.getsockname()[1]}"
        assert await probe(url) is Listener.OTHER


async def test_the_probe_reports_another_protocol_as_other() -> None:
    """For example, an SSH server."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await writer.drain()

    async with listening(talk) as url:
        assert await probe(url) is Listener.OTHER


async def test_the_probe_reports_a_server_that_hangs_up_as_other() -> None:
    """It accepted the connection, so the port is in use."""

    async def talk(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        """Send nothing."""

    async with listening(talk) as url:
        assert await probe(url) is Listener.OTHER
