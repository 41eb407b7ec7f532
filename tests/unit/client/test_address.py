"""Addresses: one rule for every form."""

import pytest

from percolator.client.address import GatewayAddress, is_loopback, parse
from percolator.errors import GatewayUnreachableError


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("gateway.example", "ws://gateway.example:80/ws"),
        ("gateway.example:3001/", "ws://gateway.example:3001/ws"),
        ("http://gateway.example/ws", "ws://gateway.example:80/ws"),
        ("https://gateway.example/ws/stats", "wss://gateway.example:443/ws"),
        ("wss://gateway.example/feed", "wss://gateway.example:443/feed/ws"),
        ("wss://gateway.example/feed/ws/", "wss://gateway.example:443/feed/ws"),
        ("https://gateway.example/a/b/markets", "wss://gateway.example:443/a/b/ws"),
        ("wss://gateway.example/feed/ws?key=1", "wss://gateway.example:443/feed/ws?key=1"),
        ("wss://u:p@gateway.example/feed", "wss://gateway.example:443/feed/ws"),
        ("ws://[::1]:3001", "ws://[::1]:3001/ws"),
    ],
)
def test_an_address_keeps_its_path_prefix_in_every_form(url: str, socket: str) -> None:
    """And its query; a path of the gateway's own is not a prefix."""
    assert parse(url).socket == socket


def test_an_address_keeps_its_login_for_the_header_alone() -> None:
    """It is in nothing that is shown."""
    at = parse("wss://al%40ice:s%3Acret@gateway.example/feed?token=t0ken")
    assert at.authorization() == {"Authorization": "Basic YWxAaWNlOnM6Y3JldA=="}
    assert at.authorization("t") == {"Authorization": "Bearer t"}
    assert parse("wss://gateway.example").authorization() == {}
    for shown in (at.http, at.ws, repr(at), str(at)):
        assert not any(secret in shown for secret in ("alice", "al%40ice", "cret", "t0ken"))


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "ws://", "ws://[::1", "ws://x:port", "ws://x:99999", "a..b", "http://a b:1"],
)
def test_an_address_that_is_not_valid_is_refused(url: str) -> None:
    """By one error."""
    with pytest.raises(GatewayUnreachableError, match="is not the address of a gateway"):
        parse(url)


def test_the_error_of_an_address_shows_neither_login_nor_token() -> None:
    """A typo must not put a password into a log."""
    with pytest.raises(GatewayUnreachableError) as raised:
        parse("wsx://alice:s3cret@gateway.example/ws?token=t0ken")
    assert not any(secret in str(raised.value) for secret in ("alice", "s3cret", "t0ken"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_a_loopback_address_is_local(host: str) -> None:
    """So no proxy leads there."""
    assert is_loopback(host)
    assert GatewayAddress(host, 1).is_local


@pytest.mark.parametrize("host", ["gateway.example", "10.0.0.1", "::2"])
def test_another_address_is_not_local(host: str) -> None:
    """A name is not looked up."""
    assert not is_loopback(host)
