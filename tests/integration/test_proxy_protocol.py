"""The PROXY protocol: clients behind a TCP proxy, with TLS in the gateway and without."""

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import pytest

from percolator.gateway.sockets import SOCKETS_PER_CONNECTION
from tests import proxy_headers
from tests.client import PATIENCE, Client, upgrade
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway
from tests.integration.test_sockets import handshakes
from tests.proxy_headers import v1, v2
from tests.site import Site

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
CLIENT, OTHER = "203.0.113.7", "203.0.113.8"
SETTINGS = {"trusted_proxies": [PROXY, "10.0.0.0/8"], "proxy_protocol": True}
FULL_HERE = (1008, "too many connections from this address")
HEALTH = b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
VERSIONS = pytest.mark.parametrize("header", [v1, v2])
Header = Callable[[str], bytes]
T = TypeVar("T")


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway behind a proxy, with one connection per address."""
    return await start_gateway(max_connections_per_ip=1, **SETTINGS)


async def send(gateway: Gateway, *parts: bytes, local: str = PROXY) -> Client:
    """Connect as a proxy does, and send each part in a segment of its own."""
    client = await gateway.dial(local=local)
    client.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        client.write(part)
        await asyncio.sleep(0)
    return client


async def admitted(gateway: Gateway, *parts: bytes) -> Client:
    """Connect, and expect the greeting."""
    client = await (await send(gateway, *parts)).opened()
    assert (await client.receive())["type"] == "connected"
    return client


class SecureClient:
    """A client that speaks TLS after a header, in the same segments as its first message."""

    def __init__(self, port: int, header: bytes, trusting: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trusting.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._header = header
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE)

    def until(self, text: bytes) -> None:
        """Send an upgrade, and read until a text has come."""
        self._run(self._tls.do_handshake)
        self._tls.write(upgrade())
        received = b""
        while text not in received:
            received += self._run(self._tls.read)

    def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._header + self._outgoing.read())
                self._header = b""
                self._incoming.write(self.sock.recv(65_536))


@VERSIONS
@pytest.mark.parametrize(
    ("client", "same"),
    [(CLIENT, CLIENT), ("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:cb00:7107", CLIENT)],
)
async def test_limits_per_address_count_the_client_that_the_header_names(
    gateway: Gateway, header: Header, client: str, same: str
) -> None:
    """Of IPv4 and of IPv6; another client of the same proxy has its own limits."""
    await admitted(gateway, header(client) + upgrade())
    assert await (await send(gateway, header(same) + upgrade())).closed() == FULL_HERE
    await admitted(gateway, header(OTHER) + upgrade())


@VERSIONS
async def test_the_header_comes_before_tls(
    header: Header, site: Site, start_gateway: StartGateway
) -> None:
    """The ClientHello may be in the same segment; the client is the one that the header names."""
    gateway = await start_gateway(max_connections_per_ip=1, **SETTINGS, **site.settings)
    with ExitStack() as stack:
        for address, text in (
            (CLIENT, b'"connected"'),
            (CLIENT, b"too many connections from this address"),
            (OTHER, b'"connected"'),
        ):
            client = SecureClient(gateway.port, header(address), site.trusting)
            stack.enter_context(client.sock)
            await asyncio.to_thread(client.until, text)
        assert gateway.service.admission.places.by_address == {CLIENT: 1, OTHER: 1}


@VERSIONS
async def test_tls_may_begin_long_after_the_header(
    header: Header, site: Site, start_gateway: StartGateway
) -> None:
    """Until then the socket costs no TLS, and counts under the client's address."""
    gateway = await start_gateway(**SETTINGS, **site.settings)
    gc.collect()
    before = handshakes()
    client = SecureClient(gateway.port, b"", site.trusting)
    with client.sock:
        client.sock.sendall(header(CLIENT))
        sockets = gateway.service.gateway.sockets
        await eventually(lambda: [each.peer for each in sockets] == [CLIENT])
        assert handshakes() == before
        await asyncio.to_thread(client.until, b'"connected"')


@VERSIONS
async def test_a_header_may_come_byte_by_byte_and_no_byte_after_it_is_lost(
    gateway: Gateway, header: Header
) -> None:
    """Or with the request and the first frames in one segment."""
    request = upgrade()
    await admitted(gateway, *(bytes([byte]) for byte in header(CLIENT) + request))
    await admitted(gateway, header(OTHER)[:-1], header(OTHER)[-1:] + request[:1], request[1:])


@VERSIONS
async def test_a_second_header_is_not_read(gateway: Gateway, header: Header) -> None:
    """A client cannot replace what its proxy says."""
    client = await send(gateway, header(CLIENT) + header(OTHER) + upgrade())
    await client.answered()
    assert client.head.startswith(b"HTTP/1.1 400 ")
    await client.gone()


@VERSIONS
async def test_a_header_from_a_peer_that_is_not_trusted_is_refused(
    gateway: Gateway, header: Header
) -> None:
    """It counts as the request of that peer, which needs none."""
    client = await send(gateway, header(CLIENT), local=STRANGER)
    await client.answered()
    assert client.head.startswith(b"HTTP/1.1 400 ")
    assert b"trusted_proxies" in client._rest
    direct = await gateway.handshake(local=STRANGER)
    assert (await direct.receive())["type"] == "connected"
    assert gateway.service.admission.places.by_address == {STRANGER: 1}


@VERSIONS
async def test_a_header_from_a_peer_that_is_not_trusted_is_refused_with_tls(
    header: Header, site: Site, start_gateway: StartGateway
) -> None:
    """It is no TLS."""
    gateway = await start_gateway(**SETTINGS, **site.settings)
    await (await send(gateway, header(CLIENT), local=STRANGER)).gone()


@VERSIONS
async def test_without_the_setting_no_header_is_read(
    start_gateway: StartGateway, header: Header
) -> None:
    """The answer names it."""
    gateway = await start_gateway(trusted_proxies=PROXY)
    client = await send(gateway, header(CLIENT) + upgrade())
    await client.answered()
    assert client.head.startswith(b"HTTP/1.1 400 ")
    assert b"proxy_protocol" in client._rest


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("data", proxy_headers.INVALID.values(), ids=proxy_headers.INVALID)
async def test_what_is_not_a_header_is_refused_before_it_costs_a_connection(
    data: bytes,
    tls: bool,  # noqa: FBT001 - a parameter of the test
    site: Site,
    start_gateway: StartGateway,
) -> None:
    """A proxy must send one; without an answer, which might be to TLS, and with no TLS."""
    gateway = await start_gateway(**SETTINGS, **(site.settings if tls else {}))
    client = await send(gateway, data)
    await client.gone()
    assert not client.head
    assert next(gateway.service.gateway.ids) == 1
    assert gateway.service.stats.refused == {"proxy header": 1}


@pytest.mark.usefixtures("short_deadlines")
async def test_a_header_that_does_not_end_in_time_is_cut_off(gateway: Gateway) -> None:
    """The time counts from accept, header and request together."""
    for part in (b"", b"PROXY TCP4 ", v2(CLIENT)[:-1], v1(CLIENT), v1(CLIENT) + b"GET"):
        await (await send(gateway, part)).gone()
    await eventually(lambda: not len(gateway.service.gateway.sockets))


async def test_a_proxy_that_closes_before_its_header_is_complete_is_forgotten(
    gateway: Gateway,
) -> None:
    """As balancers do that only check whether the port is open; it counts as no refusal."""
    for part in (b"", b"PROXY"):
        client = await send(gateway, part)
        await eventually(lambda: len(gateway.service.gateway.sockets) == 1)
        client.transport.close()
        await eventually(lambda: not len(gateway.service.gateway.sockets))
    assert not gateway.service.stats.refused


@pytest.mark.parametrize("header", proxy_headers.OWN.values(), ids=proxy_headers.OWN)
async def test_a_proxys_own_connections_count_as_the_proxy(gateway: Gateway, header: bytes) -> None:
    """Its health checks, for example."""
    assert (await gateway.request(header + HEALTH))[0] == 200
    await admitted(gateway, header + upgrade())
    assert gateway.service.admission.places.by_address == {PROXY: 1}


async def test_x_forwarded_for_counts_if_the_header_names_a_trusted_proxy(
    gateway: Gateway,
) -> None:
    """So proxies may be chained; a client that sends it is not believed."""
    forwarded = upgrade(headers={"X-Forwarded-For": OTHER})
    await admitted(gateway, v2("10.0.0.9") + forwarded)
    await admitted(gateway, v2(CLIENT) + forwarded)
    assert gateway.service.admission.places.by_address == {OTHER: 1, CLIENT: 1}


@VERSIONS
async def test_the_sockets_of_a_client_behind_a_proxy_are_limited(
    gateway: Gateway, header: Header
) -> None:
    """Past its limit it loses its oldest; those of the proxy's other clients stay."""
    other = await send(gateway, header(OTHER))
    own = [await send(gateway, header(CLIENT)) for _ in range(SOCKETS_PER_CONNECTION + 1)]
    await own[0].gone()
    assert own[1].lost is other.lost is False
    assert gateway.service.stats.refused == {"sockets of an address": 1}


async def test_attempts_of_a_client_behind_a_proxy_are_limited(start_gateway: StartGateway) -> None:
    """By its own address."""
    gateway = await start_gateway(attempts_per_second=0.001, attempt_burst=1, **SETTINGS)
    await admitted(gateway, v1(CLIENT) + upgrade())
    assert (await gateway.request(v1(CLIENT) + upgrade()))[0] == 429
    await admitted(gateway, v1(OTHER) + upgrade())
