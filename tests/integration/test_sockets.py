"""Sockets without a request: what they cost, how many there may be, and which of them go first."""

import asyncio
import gc
import resource
import socket
import ssl
from asyncio.sslproto import SSLProtocol

import pytest

from percolator.gateway import listener
from percolator.gateway.connection import State
from percolator.gateway.sockets import SOCKETS_PER_CONNECTION
from tests.client import PATIENCE, Client, upgrade
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway
from tests.site import Site

HELLO = b"\x16\x03\x01"
"""The first bytes of a TLS handshake."""


def handshakes() -> int:
    """Return how many objects of asyncio's TLS there are, with buffers of 256 KiB each."""
    return sum(isinstance(each, SSLProtocol) for each in gc.get_objects())


def hello(trusting: ssl.SSLContext) -> bytes:
    """Return the first message of a client that speaks TLS."""
    outgoing = ssl.MemoryBIO()
    client = trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def dial_many(gateway: Gateway, count: int, local: str, first: bytes = b"") -> list[Client]:
    """Open sockets from one address, each of which sends at most its first bytes."""
    clients = []
    for _ in range(count):
        client = await gateway.dial(local=local)
        if first:
            client.write(first)
        clients.append(client)
    return clients


async def counted(gateway: Gateway, count: int) -> None:
    """Wait until the gateway has this many sockets."""
    await eventually(lambda: len(gateway.service.gateway.sockets) == count)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_silent_socket_costs_nothing_but_its_descriptor(
    tls: bool,  # noqa: FBT001 - a parameter of the test
    site: Site,
    start_gateway: StartGateway,
) -> None:
    """It counts from accept on; TLS and the connection begin with the client's first byte."""
    gateway = await start_gateway(**(site.settings if tls else {}))
    gc.collect()
    before = handshakes()
    silent = await dial_many(gateway, 50, "127.0.0.1")
    await counted(gateway, 50)
    assert not gateway.service.gateway.connections
    assert handshakes() == before
    for client in silent:
        client.abort()
    await counted(gateway, 0)


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("first", [b"", HELLO])
async def test_a_socket_that_sends_no_request_is_closed_at_its_deadline_with_tls_too(
    first: bytes, site: Site, start_gateway: StartGateway
) -> None:
    """Whether or not its handshake has begun; the time counts from accept."""
    gateway = await start_gateway(**site.settings)
    for client in await dial_many(gateway, 20, "127.0.0.1", first):
        await client.gone()
    await counted(gateway, 0)


@pytest.mark.parametrize("first", [b"", HELLO])
async def test_an_address_with_too_many_sockets_loses_its_oldest_with_tls(
    first: bytes, site: Site, start_gateway: StartGateway
) -> None:
    """Other addresses lose none, and its own next one is served."""
    gateway = await start_gateway(max_connections_per_ip=1, **site.settings)
    (other,) = await dial_many(gateway, 1, "127.0.0.2")
    await counted(gateway, 1)
    own = await dial_many(gateway, SOCKETS_PER_CONNECTION + 3, "127.0.0.1", first)
    for each in own[:3]:
        await each.gone()
    async with site.client(gateway.port) as client:
        assert '"connected"' in str(await client.recv())
    await own[3].gone()
    assert own[4].lost is other.lost is False
    assert gateway.service.stats.refused == {"sockets of an address": 4}


async def test_an_address_with_too_many_incomplete_heads_loses_its_oldest(
    start_gateway: StartGateway,
) -> None:
    """Other addresses lose none; one that becomes a client frees its place at once."""
    gateway = await start_gateway(max_connections_per_ip=1)
    (other,) = await dial_many(gateway, 1, "127.0.0.2", b"GET / ")
    own = await dial_many(gateway, SOCKETS_PER_CONNECTION, "127.0.0.1", b"GET / ")
    await counted(gateway, 1 + SOCKETS_PER_CONNECTION)
    assert not gateway.service.stats.refused
    await gateway.client()
    await own[0].gone()
    assert own[1].lost is other.lost is False
    await dial_many(gateway, 1, "127.0.0.1")
    await counted(gateway, 2 + SOCKETS_PER_CONNECTION)
    assert own[1].lost is other.lost is False


async def test_an_address_that_leaves_many_answers_unread_loses_its_oldest(
    start_gateway: StartGateway,
) -> None:
    """They are small, so that no limit on bytes holds them."""
    gateway = await start_gateway(max_connections_per_ip=1)
    server = gateway.service.gateway
    for count in range(1, SOCKETS_PER_CONNECTION + 1):
        (client,) = await dial_many(gateway, 1, "127.0.0.1")
        client.transport.pause_reading()
        client.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(
            lambda count=count: (  # type: ignore[misc]
                [each.state for each in server.connections] == [State.CLOSING] * count
            )
        )
    oldest = next(iter(server.connections))
    await dial_many(gateway, 1, "127.0.0.1")
    await eventually(lambda: oldest not in server.connections)
    assert len(server.sockets) == SOCKETS_PER_CONNECTION
    assert server.stats.refused == {"sockets of an address": 1}


async def test_a_gateway_whose_descriptors_run_out_accepts_again_when_there_are_some(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other programs may use up those of the whole system; it waits a moment, and says so."""
    monkeypatch.setattr(listener, "PAUSE_SECONDS", 0.05)
    witness = await gateway.client()
    loop = asyncio.get_running_loop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as waiting:
        waiting.connect(("127.0.0.1", gateway.port))
        waiting.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.setblocking(False)  # noqa: FBT003 - the method's name explains the argument
        resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
        try:
            await eventually(lambda: "cannot accept connections for a moment" in caplog.text)
            await witness.receive_until_pong()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        async with asyncio.timeout(PATIENCE):
            assert (await loop.sock_recv(waiting, 15)) == b"HTTP/1.1 200 OK"


async def test_the_sockets_of_a_trusted_proxy_are_limited_in_total_only(
    start_gateway: StartGateway,
) -> None:
    """It has many clients."""
    gateway = await start_gateway(max_connections_per_ip=1, trusted_proxies="127.0.0.1")
    many = await dial_many(gateway, 3 * SOCKETS_PER_CONNECTION, "127.0.0.1")
    await counted(gateway, len(many))
    assert all(client.lost is False for client in many)


async def test_handshakes_are_limited_in_total_and_the_slow_ones_make_room(
    site: Site, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, and a client is served although more sockets came before it.

    A slow handshake whose place no other needs goes on.
    """
    monkeypatch.setattr(listener, "MAX_HANDSHAKES", 4)
    monkeypatch.setattr(listener, "SLOW_HANDSHAKE_SECONDS", 0.2)
    gateway = await start_gateway(**site.settings)
    gc.collect()
    before = handshakes()
    attackers = [
        await dial_many(gateway, 5, f"127.0.0.{number}", hello(site.trusting))
        for number in range(2, 6)
    ]
    await counted(gateway, 20)
    await eventually(lambda: handshakes() > before)
    assert handshakes() <= before + 4
    async with site.client(gateway.port) as client:
        assert '"connected"' in str(await client.recv())
    assert any(each.lost is False for own in attackers for each in own)


async def test_the_handshakes_of_one_address_leave_room_for_others(
    site: Site, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has few at once, and its other sockets wait until those are done."""
    monkeypatch.setattr(listener, "HANDSHAKES_PER_NETWORK", 2)
    gateway = await start_gateway(**site.settings)
    gc.collect()
    before = handshakes()
    await dial_many(gateway, 20, "127.0.0.2", HELLO)
    await counted(gateway, 20)
    await eventually(lambda: handshakes() > before)
    assert handshakes() <= before + 2
    async with site.client(gateway.port) as client:
        assert '"connected"' in str(await client.recv())
    await counted(gateway, 20)


async def test_a_handshake_that_fails_leaves_no_memory_behind(
    site: Site, start_gateway: StartGateway
) -> None:
    """Not even until the next garbage collection: many could fail before it."""
    gateway = await start_gateway(**site.settings)
    gc.collect()
    before = handshakes()
    gc.disable()
    try:
        for first in (upgrade(), HELLO, hello(site.trusting)):
            for client in await dial_many(gateway, 10, "127.0.0.1", first):
                if first == HELLO or len(first) > 400:
                    client.abort()
                await client.gone()
        await counted(gateway, 0)
        await eventually(lambda: handshakes() == before)
    finally:
        gc.enable()


async def test_many_clients_with_tls_that_come_at_once_are_all_served(
    site: Site, start_gateway: StartGateway
) -> None:
    """Waiting for a handshake costs them nothing else."""
    gateway = await start_gateway(**site.settings)

    async def greeted() -> bool:
        async with site.client(gateway.port) as client:
            return '"connected"' in str(await client.recv())

    assert all(await asyncio.gather(*(greeted() for _ in range(60))))


async def test_a_client_that_speaks_tls_without_need_is_answered_at_once(
    gateway: Gateway, site: Site
) -> None:
    """With 400, long before the deadline of a request."""
    client = await gateway.dial()
    client.write(hello(site.trusting))
    await client.answered()
    assert client.head.startswith(b"HTTP/1.1 400 ")
