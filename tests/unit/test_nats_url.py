"""Addresses of NATS servers: their parts, and what is not an address."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.nats_url import EscapeError, NatsUrl, parse, split


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("nats://a", NatsUrl("nats", "a", 4222)),
        ("tls://a.example:1/", NatsUrl("tls", "a.example", 1)),
        ("nats://[::1]:1", NatsUrl("nats", "::1", 1)),
        ("nats://secret@a:1", NatsUrl("nats", "a", 1, token="secret")),
        ("nats://me:@a:1", NatsUrl("nats", "a", 1, "me", "")),
        ("nats://me:p:w@a:1", NatsUrl("nats", "a", 1, "me", "p:w")),
        ("nats://me:p@[w]@a:1", NatsUrl("nats", "a", 1, "me", "p@[w]")),
        ("nats://m%40e:p%2F%C3%A9@a:1", NatsUrl("nats", "a", 1, "m@e", "p/é")),
        ("nats://me:100%@a:1", NatsUrl("nats", "a", 1, "me", "100%")),
    ],
)
def test_an_address_has_its_parts(address: str, parts: NatsUrl) -> None:
    """What can only be part of a login needs no escape."""
    assert parse(address) == parts


@given(user=st.text(min_size=1), password=st.text())
def test_any_user_and_password_can_be_written(user: str, password: str) -> None:
    """Percent-encoded, also in a list."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    addresses = split(f"nats://{login}@a:1, tls://b:2")
    found, other = map(parse, addresses)
    assert (found.user, found.password, found.place) == (user, password, "a:1")
    assert other == NatsUrl("tls", "b", 2)


@pytest.mark.parametrize("address", ["nats://a#", "nats://a?b", "nats://a/b", "nats://a:p/@b"])
def test_a_path_query_or_fragment_is_refused_with_a_hint(address: str) -> None:
    """Most likely it is part of a password."""
    with pytest.raises(EscapeError):
        parse(address)


@pytest.mark.parametrize(
    "address",
    ["nats://", "nats://[", "nats://a:0", "nats://a:x", "http://a", "a:1", "nats://a b", "::"],
)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    """The error quotes nothing of it."""
    with pytest.raises(ValueError, match=r"^not the address of a NATS server$"):
        parse(address)


def test_an_address_is_shown_without_its_login() -> None:
    """Also by repr."""
    address = parse("nats://alice:hunter2@[::1]")
    assert address.plain == "nats://[::1]:4222"
    assert "hunter2" not in repr(address)
    assert "alice" not in repr(address)
