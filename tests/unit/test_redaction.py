"""Redaction: no login in an address and no token in a text is ever shown."""

import pytest

from percolator.redaction import redact_logins, redact_tokens


@pytest.mark.parametrize(
    ("addresses", "shown"),
    [
        ("nats://a:1", "nats://a:1"),
        ("nats://hunter2@a:1", "nats://a:1"),
        ("nats://me:hunter2@a:1", "nats://a:1"),
        ("nats://a:1,tls://me:hunter2@b:2", "nats://a:1,tls://b:2"),
        ("nats://me:hunter2@a:1, nats://b:2", "nats://a:1, nats://b:2"),
        ("nats://me:hunter2@a, nats://me:hunter2@b", "nats://a, nats://b"),
        ("me:hunter2@a:1", "a:1"),
        ("a:1,me:hunter2@b:2", "b:2"),
        ("a:1", "a:1"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_login(addresses: str, shown: str) -> None:
    """Hosts and ports stay, one address or several."""
    assert redact_logins(addresses) == shown


@pytest.mark.parametrize(
    "password",
    ["hunter2,hunter2", "hunter2@hunter2", "hunter2://hunter2", "hunter2 hunter2", "hunter2\n/?#"],
)
def test_no_character_in_a_password_lets_a_part_of_it_through(password: str) -> None:
    """An operator who forgot to escape one still reads no password in the error."""
    for address in (f"nats://me:{password}@a:1", f"me:{password}@a:1", f"x://b,me:{password}@a"):
        assert "hunter2" not in redact_logins(address)


def test_a_mark_may_stand_in_place_of_the_login() -> None:
    """`percolator config` shows that there is one."""
    assert redact_logins("nats://me:hunter2@a,nats://b", mark="***@") == "nats://***@a,nats://b"


@pytest.mark.parametrize(
    "text",
    [
        "token eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2",
        "GET /ws?token=hunter2 HTTP/1.1",
        "GET /ws?a=b&token=hunter2&c=d",
        "Authorization: Bearer hunter2",
        "authorization: BEARER hunter2",
    ],
)
def test_a_text_is_shown_without_its_token(text: str) -> None:
    """In each place where clients send tokens."""
    shown = redact_tokens(text)
    assert "hunter2" not in shown
    assert "(token)" in shown
