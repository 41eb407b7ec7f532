"""Origins: which entries of `allowed_origins` are valid, and which pages each of them allows."""

import pytest

from percolator.config.origins import matcher
from percolator.config.sources import load
from tests.unit.config.conftest import refusal


def allows(entry: str, origin: str) -> bool:
    """Whether a setting with one entry allows a page."""
    return bool(matcher(load({"allowed_origins": entry}).settings.allowed_origins)(origin))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b.c.example.com", True),
        ("HTTPS://A.Example.com", True),
        ("https://xn--mnchen-3ya.example.com", True),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://evil-example.com", False),
        ("https://a.example.com.evil.example", False),
        ("https://evil.example/.example.com", False),
        ("https://evil.example#.example.com", False),
        ("https://me@a.example.com", False),
        ("https://a..example.com", False),
        ("https://a.exampleXcom", False),
        ("https://a.example.com:8443", False),
        ("http://a.example.com", False),
        ("null", False),
    ],
)
def test_a_wildcard_allows_subdomains_at_any_depth_and_nothing_else(
    origin: str,
    allowed: bool,  # noqa: FBT001 - the expected answer
) -> None:
    """Not the domain itself, no other that ends with the same letters, no other scheme or port."""
    assert allows("https://*.example.com", origin) is allowed


def test_the_port_of_a_wildcard_must_match() -> None:
    """The default port of the scheme is the same as none."""
    assert allows("https://*.example.com:8443", "https://a.example.com:8443")
    assert not allows("https://*.example.com:8443", "https://a.example.com")
    assert not allows("https://*.example.com:8443", "https://a.example.com:9443")
    assert allows("http://*.localhost:80", "http://a.localhost")


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("capacitor://localhost", "capacitor://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("ionic://", "ionic://localhost"),
        ("tauri://", "tauri://localhost"),
        ("tauri://localhost", "tauri://localhost"),
        ("app://.", "app://."),
        ("app://", "app://obsidian.md"),
        ("file://", "file://"),
        (
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        ),
        ("Safari-Web-Extension://A1B2", "safari-web-extension://A1B2"),
    ],
)
def test_the_origin_of_an_app_is_allowed_by_its_scheme_with_or_without_its_host(
    entry: str, origin: str
) -> None:
    """Apps and extensions of browsers have schemes of their own."""
    assert allows(entry, origin)
    assert not allows(entry, "https://localhost")
    assert not allows(entry, "https://evil.example")


def test_an_app_with_a_host_allows_no_other_host() -> None:
    """Each extension of a browser has its own."""
    assert not allows("chrome-extension://abc", "chrome-extension://xyz")
    assert not allows("tauri://localhost", "tauri://localhost.evil")


def test_null_allows_pages_without_an_origin_of_their_own() -> None:
    """And no other page."""
    assert allows("null", "null")
    assert not allows("null", "https://null")
    assert not allows("https://a.example", "null")


def test_a_star_or_no_entry_allows_every_page() -> None:
    """Even one without an origin of its own."""
    for entry in ("*", "", "https://a.example, *"):
        for origin in ("https://evil.example", "null", "app://."):
            assert allows(entry, origin)


def test_a_name_in_another_script_allows_the_page_as_browsers_send_it() -> None:
    """They send it in its ASCII form."""
    assert allows("https://bücher.example", "https://xn--bcher-kva.example")
    assert allows("https://*.bücher.example", "https://a.xn--bcher-kva.example")


@pytest.mark.parametrize(
    "entry",
    [
        *("**", "*.example.com", "https://*", "https://*.", "https://*example.com"),
        *("https://a.*.com", "https://*.*.example.com", "https://example.*", "https://*.2.3.4"),
        *("https://*.example.com/path", "https://*.example.com:*", "https://*.example.com:x"),
        *("*://example.com", "app://*", "app://a/b", "app:", "://", "wss://example.com"),
        *("https://a b", "https://me@example.com", "https://[*.::1]", "nullable", "example.com"),
    ],
)
def test_an_entry_that_no_page_can_match_is_refused(entry: str) -> None:
    """With the rule, and with the value."""
    sentence = refusal({"allowed_origins": entry})
    assert sentence.startswith(
        "setting allowed_origins (from --allowed-origins): it must be origins such as "
        "https://example.com, https://*.example.com, tauri://localhost or null, comma-separated"
    )
    assert sentence.endswith(f"not {entry!r}")
