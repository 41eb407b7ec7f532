"""Connections to NATS: opened in time, or an error that a person can act on."""

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from percolator.errors import NatsUnreachableError
from percolator.jetstream import connect as module
from percolator.jetstream.connect import NatsAddress, connect
from tests.client import PATIENCE
from tests.gateway import eventually
from tests.nats_server import NatsServer, ReservedPort


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try comes soon after the first."""
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.02)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for an answer."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nothing answers."""
    port = ReservedPort()
    yield f"nats://127.0.0.1:{port.number}"
    port.release()


async def fails(address: NatsAddress) -> str:
    """Connect in vain; give what is said about it."""
    with pytest.raises(NatsUnreachableError) as raised:
        await connect(address, name="test", reconnect=False)
    return str(raised.value)


async def test_it_connects(nats_url: str) -> None:
    """By an address alone."""
    client = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    assert client.is_connected
    await client.close()


async def test_of_several_addresses_one_that_answers_will_do(nats_url: str, nowhere: str) -> None:
    """Whichever place it has in the list."""
    client = await connect(NatsAddress(f"{nowhere}, {nats_url}"), name="test", reconnect=False)
    assert client.is_connected
    await client.close()


@pytest.mark.parametrize("reconnect", [True, False])
async def test_where_nothing_answers_it_says_so(nowhere: str, *, reconnect: bool) -> None:
    """Once, also where a connection that was there would come back by itself."""
    said = re.escape(f"NATS at {nowhere} cannot be reached: nothing answers there")
    async with asyncio.timeout(10):
        with pytest.raises(NatsUnreachableError, match=said):
            await connect(NatsAddress(nowhere), name="test", reconnect=reconnect)


@pytest.mark.usefixtures("quick")
async def test_a_server_that_does_not_answer_is_an_error_in_time(nats_process: NatsServer) -> None:
    """It takes the connection, and says nothing."""
    nats_process.freeze()
    async with asyncio.timeout(5):
        assert "cannot be reached: " in await fails(NatsAddress(nats_process.url))
    nats_process.thaw()


@pytest.mark.usefixtures("quick")
async def test_a_server_that_is_no_nats_is_an_error_in_time() -> None:
    """It says something else."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(5):
            said = await fails(NatsAddress(f"nats://127.0.0.1:{port}"))
    assert said.startswith(f"NATS at nats://127.0.0.1:{port} cannot be reached: ")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS that asks for a token."""
    with NatsServer(tmp_path, "--auth", "the secret token") as server:
        yield server


async def test_the_right_token_gets_in(guarded: NatsServer) -> None:
    """Given beside the address."""
    address = NatsAddress(guarded.url, token="the secret token")
    client = await connect(address, name="test", reconnect=False)
    assert client.is_connected
    await client.close()


@pytest.mark.parametrize("token", ["a wrong one", None])
async def test_a_wrong_token_is_an_error_that_does_not_repeat_it(
    guarded: NatsServer, token: str | None
) -> None:
    """It says that NATS refused, and keeps the secret."""
    said = await fails(NatsAddress(guarded.url, token=token))
    assert "uthorization" in said
    assert "wrong" not in said
    assert "secret" not in said


async def test_a_password_in_the_address_is_not_shown(nowhere: str) -> None:
    """Nor the user."""
    address = NatsAddress(nowhere.replace("//", "//somebody:hunter2@") + ",nats://x@127.0.0.1:1")
    assert address.shown == f"{nowhere}, nats://127.0.0.1:1"
    said = await fails(address)
    assert "hunter2" not in said
    assert "somebody" not in said


@pytest.mark.parametrize(
    "url",
    ["nats://", "nats://[", "nats://host:port", "http://127.0.0.1:1", "", ",", "nats://a b", "::"],
)
async def test_an_address_that_is_none_is_an_error_and_no_traceback(url: str) -> None:
    """Whatever is wrong with it."""
    async with asyncio.timeout(10):
        assert "cannot be reached: " in await fails(NatsAddress(url))


async def test_a_ca_file_that_is_none_is_an_error(nats_url: str, tmp_path: Path) -> None:
    """A file that holds something else."""
    ca = tmp_path / "ca.pem"
    ca.write_text("no certificate")
    assert "cannot be reached: " in await fails(NatsAddress(nats_url, tls_ca=ca))


async def test_the_end_of_a_connection_is_told(nats_process: NatsServer) -> None:
    """Of one that does not come back by itself."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    client = await connect(
        NatsAddress(nats_process.url), name="test", reconnect=False, closed=closed
    )
    nats_process.kill()
    async with asyncio.timeout(10):
        await ended.wait()
    assert client.is_closed


async def test_a_connection_that_comes_back_works_again(nats_process: NatsServer) -> None:
    """After a restart of the server, with what was subscribed before."""
    client = await connect(NatsAddress(nats_process.url), name="test", reconnect=True)
    subscription = await client.subscribe("news")
    nats_process.restart()
    await eventually(lambda: client.stats["reconnects"] == 1)
    await client.publish("news", b"again")
    message = await subscription.next_msg(timeout=PATIENCE)
    assert message.data == b"again"
    await client.close()


async def test_it_leaves_no_socket_behind_where_it_fails(nowhere: str) -> None:
    """A gateway tries for days."""
    before = socket.socket()
    highest = before.fileno()
    before.close()
    for _ in range(5):
        await fails(NatsAddress(nowhere))
    after = socket.socket()
    assert after.fileno() <= highest + 1
    after.close()
