"""Handshake: which bytes are a request head, and which request it holds."""

import pytest

from percolator.gateway.handshake import (
    MAX_HEAD_BYTES,
    HeadTooLargeError,
    accept,
    head_length,
    parse,
)
from tests.client import upgrade


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", None),
        (b"GET / HTTP/1.1\r\n", None),
        (b"GET / HTTP/1.1\r\n\r", None),
        (b"GET / HTTP/1.1\r\n\r\n", 18),
        (b"GET / HTTP/1.1\r\n\r\nframes\r\n\r\n", 18),
        (b"\x16\x03\x01\x02\x00", 5),
        (b"\x16", None),
        (b"PROXY", None),
        (b"PROXY TCP4", 10),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21", 13),
        (bytes(MAX_HEAD_BYTES), None),
        (bytes(MAX_HEAD_BYTES - 4) + b"\r\n\r\nframes", MAX_HEAD_BYTES),
    ],
)
def test_a_head_ends_at_the_first_empty_line(data: bytes, length: int | None) -> None:
    """Frames may follow it in the same read. TLS and PROXY headers are all head."""
    assert head_length(data) == length


@pytest.mark.parametrize(
    "data", [bytes(MAX_HEAD_BYTES + 1), bytes(MAX_HEAD_BYTES - 3) + b"\r\n\r\n"]
)
def test_a_head_over_the_limit_is_refused(data: bytes) -> None:
    """Whether or not its end has come."""
    with pytest.raises(HeadTooLargeError):
        head_length(data)


def test_a_valid_head_holds_a_request() -> None:
    """The protocol object that parsed it comes with it."""
    parsed = parse(b"GET /ws?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 4_096)
    assert parsed is not None
    assert parsed[1].path == "/ws?a=b"


@pytest.mark.parametrize(
    ("target", "path", "hosts"),
    [
        ("http://a.example", "/", ["a.example"]),
        ("http://a.example/", "/", ["a.example"]),
        ("HTTPS://A.example:8443/ws?a=/b", "/ws?a=/b", ["A.example:8443"]),
        ("wss://[::1]:3001/ws", "/ws", ["[::1]:3001"]),
        ("http://a.example?b", "/?b", ["a.example"]),
        ("http://a.example//b", "//b", ["a.example"]),
        ("http:///ws", "http:///ws", ["x"]),
        ("ftp://a.example/", "ftp://a.example/", ["x"]),
        ("/http://a.example/", "/http://a.example/", ["x"]),
        ("*", "*", ["x"]),
    ],
)
def test_an_absolute_target_becomes_its_path_and_its_authority_the_host(
    target: str, path: str, hosts: list[str]
) -> None:
    """RFC 9112, 3.2.2. Any other target is as it was sent."""
    parsed = parse(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 4_096)
    assert parsed is not None
    assert (parsed[1].path, parsed[1].headers.get_all("Host")) == (path, hosts)


def test_an_absolute_target_hides_no_doubled_host() -> None:
    """A proxy in front may read one of them; without any, the target names the host."""
    for sent, hosts in (([], ["a.example"]), (["x"], ["a.example"]), (["x", "y"], ["x", "y"])):
        lines = ["GET http://a.example/ HTTP/1.1", *(f"Host: {host}" for host in sent), "", ""]
        parsed = parse("\r\n".join(lines).encode(), 4_096)
        assert parsed is not None
        assert parsed[1].headers.get_all("Host") == hosts


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["percolator.v1"], "percolator.v1"),
        (["graphql-ws, percolator.v1"], "percolator.v1"),
        (["graphql-ws", "percolator.v1,mqtt"], "percolator.v1"),
        (["graphql-ws"], None),
        (["percolator.v2, Percolator.v1"], None),
    ],
)
def test_percolator_v1_is_chosen_if_it_is_offered(offered: list[str], chosen: str | None) -> None:
    """Alone or among others; subprotocols that are not known are ignored."""
    lines = "".join(f"Sec-WebSocket-Protocol: {value}\r\n" for value in offered)
    parsed = parse(upgrade().removesuffix(b"\r\n") + lines.encode() + b"\r\n", 4_096)
    assert parsed is not None
    response = accept(*parsed)
    assert response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen


@pytest.mark.parametrize("head", [b"\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/2\r\n\r\n"])
def test_a_malformed_head_holds_no_request(head: bytes) -> None:
    """The response to it is 400."""
    assert parse(head, 4_096) is None
