"""Connections to NATS: opened in time, or an error that a user can act on."""

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from percolator.errors import NatsUnreachableError
from percolator.jetstream import connect as module
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.client import PATIENCE
from tests.gateway import eventually
from tests.nats_server import NatsServer, ReservedPort


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry soon after the first attempt."""
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.02)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only a fraction of a second for an answer."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nothing answers."""
    port = ReservedPort()
    yield f"nats://127.0.0.1:{port.number}"
    port.release()


async def fails(address: NatsAddress) -> str:
    """Return the error of a connect that fails."""
    with pytest.raises(NatsUnreachableError) as raised:
        await connect(address, name="test", reconnect=False)
    return str(raised.value)


async def test_connect_opens_a_connection(nats_url: str) -> None:
    """With only an address."""
    client = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    assert client.is_connected
    await client.close()


async def test_connect_uses_the_address_that_answers(nats_url: str, nowhere: str) -> None:
    """It comes after one without a server in the list."""
    client = await connect(NatsAddress(f"{nowhere}, {nats_url}"), name="test", reconnect=False)
    assert client.is_connected
    await client.close()


@pytest.mark.parametrize("reconnect", [True, False])
async def test_connect_fails_when_nothing_answers(nowhere: str, *, reconnect: bool) -> None:
    """After one attempt, even if an open connection would reconnect."""
    said = re.escape(f"NATS at {nowhere} cannot be reached: nothing answers there")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(NatsUnreachableError, match=said):
            await connect(NatsAddress(nowhere), name="test", reconnect=reconnect)


@pytest.mark.usefixtures("quick")
async def test_connect_fails_in_time_when_the_server_is_silent(nats_process: NatsServer) -> None:
    """A frozen server accepts the connection and sends nothing."""
    nats_process.freeze()
    async with asyncio.timeout(PATIENCE):
        assert "cannot be reached: " in await fails(NatsAddress(nats_process.url))
    nats_process.thaw()


@pytest.mark.usefixtures("quick")
async def test_connect_fails_in_time_when_the_server_is_not_nats() -> None:
    """It sends another greeting."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(PATIENCE):
            said = await fails(NatsAddress(f"nats://127.0.0.1:{port}"))
    assert said.startswith(f"NATS at nats://127.0.0.1:{port} cannot be reached: ")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS that requires a token."""
    with NatsServer(tmp_path, "--auth", "the secret token") as server:
        yield server


async def test_connect_passes_the_token(guarded: NatsServer) -> None:
    """It is separate from the address."""
    address = NatsAddress(guarded.url, token="the secret token")
    client = await connect(address, name="test", reconnect=False)
    assert client.is_connected
    await client.close()


@pytest.mark.parametrize("token", ["a wrong one", None])
async def test_the_error_for_a_wrong_token_hides_the_token(
    guarded: NatsServer, token: str | None
) -> None:
    """It reports only that NATS refused the login."""
    said = await fails(NatsAddress(guarded.url, token=token))
    assert "uthorization" in said
    assert "wrong" not in said
    assert "secret" not in said


async def test_the_error_hides_the_user_and_password_of_the_address(nowhere: str) -> None:
    """So does the address for messages."""
    address = NatsAddress(nowhere.replace("//", "//alice:hunter2@") + ",nats://x@127.0.0.1:1")
    assert address.shown == f"{nowhere}, nats://127.0.0.1:1"
    said = await fails(address)
    assert "hunter2" not in said
    assert "alice" not in said


@pytest.mark.parametrize(
    "url",
    ["nats://", "nats://[", "nats://host:port", "http://127.0.0.1:1", "", ",", "nats://a b", "::"],
)
async def test_connect_fails_with_an_error_when_the_address_is_invalid(url: str) -> None:
    """No other exception comes through."""
    async with asyncio.timeout(PATIENCE):
        assert "cannot be reached: " in await fails(NatsAddress(url))


async def test_the_client_calls_closed_when_its_connection_ends(nats_process: NatsServer) -> None:
    """If it does not reconnect."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    client = await connect(
        NatsAddress(nats_process.url), name="test", reconnect=False, closed=closed
    )
    nats_process.kill()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert client.is_closed


async def test_the_client_keeps_its_subscriptions_when_it_reconnects(
    nats_process: NatsServer,
) -> None:
    """After a restart of the server."""
    client = await connect(NatsAddress(nats_process.url), name="test", reconnect=True)
    subscription = await client.subscribe("news")
    nats_process.restart()
    await eventually(lambda: client.stats["reconnects"] == 1)
    await client.publish("news", b"again")
    message = await subscription.next_msg(timeout=PATIENCE)
    assert message.data == b"again"
    await client.close()


async def test_connect_leaves_no_socket_open_when_it_fails(nowhere: str) -> None:
    """A gateway may retry for days."""
    before = socket.socket()
    highest = before.fileno()
    before.close()
    for _ in range(5):
        await fails(NatsAddress(nowhere))
    after = socket.socket()
    assert after.fileno() <= highest + 1
    after.close()


async def test_each_connection_logs_a_debug_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the server and the connection's name, without user and password."""
    with NatsServer(tmp_path, "--user", "alice", "--pass", "hunter2") as server:
        url = server.url.replace("//", "//alice:hunter2@")
        with caplog.at_level(logging.DEBUG, logger=module.__name__):
            client = await connect(NatsAddress(url), name="test", reconnect=False)
        await client.close()
    assert f"connected to NATS at 127.0.0.1:{server.port} as 'test'" in caplog.messages
    assert "hunter2" not in caplog.text
