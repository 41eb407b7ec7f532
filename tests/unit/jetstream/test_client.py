"""Parsing what publishers may send: every byte string has a result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient, parse_headers, text_of


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b"NATS/1.0\r\nName: value\r\n\r\n", {"Name": "value"}),
        (b"NATS/1.0\r\nA:b\r\nA: c \r\n\r\n", {"A": "c"}),
        (b"NATS/1.0 503\r\n\r\n", {"Status": "503"}),
        (b"NATS/1.0 204 EOB\r\nA: b\r\n\r\n", {"Status": "204", "Description": "EOB", "A": "b"}),
        (
            b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
            {"Status": "100", "Description": "Idle Heartbeat"},
        ),
        (b"NATS/1.0 abc\r\nA: b\r\n\r\n", {"A": "b"}),
        (b"NATS/1.0\r\nA: \xff\r\n\r\n", {"A": r"\xff"}),
        (b"X", {}),
        (b"", {}),
    ],
)
def test_headers_and_status_are_read(block: bytes, found: dict[str, str]) -> None:
    """The last header of a name counts; what is not a header is ignored."""
    assert parse_headers(block) == found


@given(st.binary())
def test_any_bytes_are_parsed(data: bytes) -> None:
    """Without an error, and UTF-8 as it is."""
    parse_headers(data)
    try:
        assert text_of(data) == data.decode()
    except UnicodeDecodeError:
        assert "\\x" in text_of(data)


def test_without_a_prefix_a_client_has_the_names_that_nats_gives() -> None:
    """As before there were prefixes."""
    client = NatsClient()
    assert (client.api, client.inbox_prefix) == ("$JS.API", "_INBOX")


def test_a_prefix_is_in_front_of_all_names() -> None:
    """The names that nats-server.conf gives its user."""
    client = NatsClient(NatsAddress("", prefix="edge"))
    assert (client.api, client.inbox_prefix) == ("edge.API", "_INBOX.edge")


def test_an_inbox_prefix_of_its_own_changes_nothing_but_the_inbox() -> None:
    """It wins over the one that the name gives."""
    client = NatsClient(NatsAddress("", prefix="edge", inbox_prefix="_INBOX.mine"))
    assert (client.api, client.inbox_prefix) == ("edge.API", "_INBOX.mine")
