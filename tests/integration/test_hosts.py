"""Host names: with `allowed_hosts`, a gateway answers only requests for its own names."""

import asyncio

import pytest

from percolator.client.address import GatewayAddress
from percolator.errors import GatewayError
from percolator_cli import gateway as commands
from tests.client import upgrade
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

SENTENCE = b"This gateway does not serve the host in the Host header.\n"
FOREIGN = ["evil.example", "feed.example.evil.example", "", "127.0.0.1", "feed.example:x", "a b"]


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway with names, one of them with a port."""
    return await start_gateway(allowed_hosts="feed.example, other.example:8443")


def get(path: str, *hosts: str) -> bytes:
    """Return a request with any number of Host headers."""
    lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts)]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_request_for_another_host_is_421(gateway: Gateway, host: str) -> None:
    """An upgrade and a plain request alike: a page can make its own name lead to a gateway."""
    for request in (upgrade(headers={"Host": host}), get("/markets", host)):
        status, _, body = await gateway.request(request)
        assert (status, body) == (421, SENTENCE)
    assert gateway.service.stats.refused == {"host": 2}


async def test_a_request_without_exactly_one_host_is_421(gateway: Gateway) -> None:
    """A proxy in front may read the other one."""
    for hosts in ((), ("feed.example", "feed.example"), ("feed.example", "evil.example")):
        assert (await gateway.request(get("/", *hosts)))[0] == 421
    doubled = upgrade(headers={"Host": "feed.example\r\nHost: feed.example"})
    assert (await gateway.request(doubled))[0] == 421


async def test_the_host_of_an_absolute_target_replaces_the_host_header(gateway: Gateway) -> None:
    """For a plain request and for an upgrade, as RFC 9112 has it."""
    for host, status in (("feed.example", 200), ("evil.example", 421), ("me@feed.example", 421)):
        target = f"http://{host}/markets"
        for header in ((), ("evil.example",), ("feed.example",)):
            assert (await gateway.request(get(target, *header)))[0] == status
    await gateway.handshake("http://feed.example/ws", headers={"Host": "evil.example"})
    refused = upgrade("http://evil.example/ws", {"Host": "feed.example"})
    assert (await gateway.request(refused))[0] == 421
    twice = get("http://feed.example/markets", "feed.example", "feed.example")
    assert (await gateway.request(twice))[0] == 421


async def test_requests_for_the_gateways_own_hosts_are_served(gateway: Gateway) -> None:
    """With any port and in any letter case, unless the setting names the port."""
    for host in ("feed.example", "FEED.example:3001", "other.example:8443"):
        assert (await gateway.request(get("/markets", host)))[0] == 200
        await gateway.handshake(headers={"Host": host})
    assert (await gateway.request(get("/markets", "other.example")))[0] == 421


async def test_health_checks_may_name_any_host(gateway: Gateway) -> None:
    """Load balancers use addresses."""
    for path in ("/health", "/health/live"):
        for hosts in ((), ("10.0.0.7:3001",)):
            assert (await gateway.request(get(path, *hosts)))[0] == 200


async def test_without_the_setting_any_host_is_served(start_gateway: StartGateway) -> None:
    """Also none."""
    gateway = await start_gateway()
    for hosts in ((), ("evil.example",), ("a", "b")):
        assert (await gateway.request(get("/markets", *hosts)))[0] == 200


async def test_a_command_says_that_the_gateway_does_not_serve_its_host(gateway: Gateway) -> None:
    """And names the setting."""
    at = GatewayAddress("127.0.0.1", gateway.port)
    with pytest.raises(GatewayError, match=r"does not serve this host name .*allowed_hosts"):
        await asyncio.to_thread(commands.stats, at, None)
