"""Handshake: which bytes are a request head, and which request it holds."""

import pytest

from percolator.gateway.handshake import MAX_HEAD_BYTES, HeadTooLargeError, head_length, parse


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
        (bytes(MAX_HEAD_BYTES), None),
        (bytes(MAX_HEAD_BYTES - 4) + b"\r\n\r\nframes", MAX_HEAD_BYTES),
    ],
)
def test_a_head_ends_at_the_first_empty_line(data: bytes, length: int | None) -> None:
    """Frames may follow it in the same read. TLS is all head: no end of one would follow."""
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


@pytest.mark.parametrize("head", [b"\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/2\r\n\r\n"])
def test_a_malformed_head_holds_no_request(head: bytes) -> None:
    """The response to it is 400."""
    assert parse(head, 4_096) is None
