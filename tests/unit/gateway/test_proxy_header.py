"""PROXY headers: where each ends, and which client it names."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from percolator.gateway.proxy_header import MAX_BYTES, ProxyHeaderError, header_length, source
from tests import proxy_headers
from tests.proxy_headers import v1, v2

CLIENTS = ["203.0.113.7", "2001:db8::7", "::ffff:203.0.113.7"]
LARGEST = v2("203.0.113.7", bytes(MAX_BYTES - 28))
VALID = [
    *(make(client) for make in (v1, v2) for client in CLIENTS),
    *proxy_headers.OWN.values(),
    b"PROXY TCP6 "
    + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2)
    + b" 65535 65535\r\n",
    LARGEST,
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("make", [v1, v2])
def test_a_header_names_its_client(make: Callable[[str], bytes], client: str) -> None:
    """Of IPv4 and of IPv6, in either version."""
    assert ip_address(source(make(client)) or "") == ip_address(client)


def test_what_follows_the_addresses_in_version_2_is_skipped() -> None:
    """Proxies add names of servers, and certificates."""
    assert source(LARGEST) == "203.0.113.7"
    assert header_length(LARGEST) == MAX_BYTES


@pytest.mark.parametrize("header", proxy_headers.OWN.values(), ids=proxy_headers.OWN)
def test_a_header_of_the_proxys_own_connection_names_no_client(header: bytes) -> None:
    """Health checks, and families without an address of IP."""
    assert source(header) is None


@pytest.mark.parametrize("header", VALID)
def test_a_header_ends_at_its_last_byte(header: bytes) -> None:
    """Whatever follows, and not before: until then, all that has arrived belongs to it."""
    assert header_length(header) == len(header)
    for rest in (b"G", b"GET / HTTP/1.1\r\n\r\n", header):
        assert header_length(header + rest) == len(header)
    assert {header_length(header[:end]) for end in range(len(header))} == {None}


@pytest.mark.parametrize("data", proxy_headers.INVALID.values(), ids=proxy_headers.INVALID)
def test_anything_else_is_not_a_header(data: bytes) -> None:
    """It is refused as soon as that is certain."""
    with pytest.raises(ProxyHeaderError):
        source(data[: header_length(data) or pytest.fail("it waits for more")])
