"""Answers to plain requests: how much of them may wait for clients that do not read."""

import asyncio
import json
import socket
import ssl

import pytest

from percolator.client.address import GatewayAddress
from percolator.errors import GatewayError
from percolator.gateway import answers
from percolator_cli import gateway as commands
from tests.client import PATIENCE
from tests.gateway import Gateway, event_json, eventually
from tests.integration.conftest import StartGateway
from tests.site import Site

MARKETS = 345
REQUEST = b"GET /markets HTTP/1.1\r\nHost: x\r\n\r\n"
BOUND = 150_000
"""A few answers."""


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bound the answers of the test's gateway more tightly."""
    assert answers.MAX_UNREAD_BYTES == 16 * 2**20
    monkeypatch.setattr(answers, "MAX_UNREAD_BYTES", BOUND)


async def publish_markets(gateway: Gateway) -> None:
    """Publish events of many markets: the page has more bytes than the buffers of the kernel."""
    for number in range(MARKETS):
        seq = await gateway.publish("price", f"market-{number:03}")
    await gateway.has_read(seq)


def ask(
    port: int, local: str, trusting: ssl.SSLContext | None = None, request: bytes = REQUEST
) -> socket.socket:
    """Send a request from a socket with a small buffer, and return it unread."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    asking.settimeout(PATIENCE)
    asking.bind((local, 0))
    asking.connect(("127.0.0.1", port))
    if trusting is not None:
        asking = trusting.wrap_socket(asking, server_hostname="127.0.0.1")
    asking.sendall(request)
    return asking


def answer_of(asking: socket.socket) -> bytes:
    """Read until the other side closes, or cuts the connection; return what came."""
    found = b""
    try:
        while data := asking.recv(65_536):
            found += data
    except (ConnectionResetError, ssl.SSLError):
        pass
    finally:
        asking.close()
    return found


def waiting(gateway: Gateway) -> int:
    """Return the bytes that wait in user space."""
    connections = gateway.service.gateway.connections
    return sum(each.transport.get_write_buffer_size() for each in connections)


@pytest.mark.parametrize("tls", [False, True])
async def test_answers_that_are_not_read_are_bounded_in_total(
    tls: bool,  # noqa: FBT001 - a parameter of the test
    site: Site,
    start_gateway: StartGateway,
) -> None:
    """An address that reads none gets 503; a slow reader elsewhere gets its answer."""
    gateway = await start_gateway(**(site.settings if tls else {}))
    await publish_markets(gateway)
    trusting = site.trusting if tls else None
    server = gateway.service.gateway
    attackers = [
        await asyncio.to_thread(ask, gateway.port, "127.0.0.2", trusting) for _ in range(20)
    ]
    await eventually(lambda: server.stats.refused["unread answers"] >= 10)
    assert waiting(gateway) <= server.unread.total < BOUND / 2
    honest = await asyncio.to_thread(ask, gateway.port, "127.0.0.3", trusting)
    _, _, body = (await asyncio.to_thread(answer_of, honest)).partition(b"\r\n\r\n")
    assert len(json.loads(body)["markets"]) == MARKETS
    answered = [await asyncio.to_thread(answer_of, each) for each in attackers]
    assert answered[-1].startswith(b"HTTP/1.1 503 ")
    await eventually(lambda: server.unread.total == 0)


async def test_the_address_with_the_most_unread_bytes_loses_its_oldest_answer(
    start_gateway: StartGateway,
) -> None:
    """If answers of many addresses are not read: one that comes then gets its answer."""
    gateway = await start_gateway()
    await publish_markets(gateway)
    server = gateway.service.gateway
    attackers = []
    for number in range(20):
        attackers.append(await asyncio.to_thread(ask, gateway.port, f"127.0.1.{number + 1}"))
        assert waiting(gateway) <= BOUND
        assert server.unread.total <= BOUND
    await eventually(lambda: server.stats.refused["unread answers"] >= 10)
    honest = await asyncio.to_thread(ask, gateway.port, "127.0.0.3")
    _, _, body = (await asyncio.to_thread(answer_of, honest)).partition(b"\r\n\r\n")
    assert len(json.loads(body)["markets"]) == MARKETS
    answered = [await asyncio.to_thread(answer_of, each) for each in attackers]
    assert len(answered[0]) < len(body) <= len(answered[-1])


async def test_answers_that_are_read_are_not_limited(start_gateway: StartGateway) -> None:
    """Any number of them, one after the other."""
    gateway = await start_gateway()
    await publish_markets(gateway)
    for _ in range(20):
        assert len((await gateway.get_json("/markets"))["markets"]) == MARKETS
    assert not gateway.service.stats.refused


async def test_a_command_says_that_it_has_sent_too_many_requests(
    start_gateway: StartGateway,
) -> None:
    """And names the setting."""
    gateway = await start_gateway(requests_per_second=0.001, request_burst=1)
    at = GatewayAddress("127.0.0.1", gateway.port)
    await asyncio.to_thread(commands.stats, at, None)
    with pytest.raises(GatewayError, match=r"too many requests .*requests_per_second"):
        await asyncio.to_thread(commands.stats, at, None)


@pytest.mark.parametrize("tls", [False, True])
async def test_answers_that_take_a_while_are_bounded_too(
    tls: bool,  # noqa: FBT001 - a parameter of the test
    site: Site,
    start_gateway: StartGateway,
) -> None:
    """All of them are asked for before the first is there; another address gets its answer."""
    gateway = await start_gateway(**(site.settings if tls else {}))
    context = gateway.nats.jetstream()
    acks = [
        await context.publish_async("percolator.trade.SOL", event_json("trade"))
        for _ in range(1_000)
    ]
    await context.publish_async_completed()
    await gateway.has_read((await acks[-1]).seq)
    trusting = site.trusting if tls else None
    server = gateway.service.gateway
    history = b"GET /markets/SOL/trades?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n"
    attackers = await asyncio.gather(
        *(asyncio.to_thread(ask, gateway.port, "127.0.0.2", trusting, history) for _ in range(20))
    )
    await eventually(lambda: server.stats.refused["unread answers"] >= 10)
    await eventually(lambda: not len(server.answering))
    assert waiting(gateway) <= server.unread.total < BOUND
    honest = await asyncio.to_thread(ask, gateway.port, "127.0.0.3", trusting, history)
    _, _, body = (await asyncio.to_thread(answer_of, honest)).partition(b"\r\n\r\n")
    assert len(json.loads(body)["events"]) == 1_000
    for each in attackers:
        await asyncio.to_thread(answer_of, each)
