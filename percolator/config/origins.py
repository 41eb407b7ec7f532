"""Origins: how the settings name those of pages, and which pages these are."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

ANY = "*"
OPAQUE = "null"
"""What browsers send for a page without an origin of its own: a file, or a sandboxed frame."""

_PORTS = {"http": 80, "https": 443}
_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_HOST = re.compile(rf"{_LABELS}\.?|\*\.(?:{_LABELS}\.)?[a-z][a-z0-9-]*")
"""A host name or IPv4 address; after `*.`, a domain, whose last label is no number."""
_APP = re.compile(r"(?!wss?:)[a-z][a-z0-9+.-]*://(?:[a-z0-9._~-]+(?::[0-9]{1,5})?)?")


def normalized(text: str) -> str:
    """Return an entry of the list as browsers write origins. Raises ValueError.

    It is an origin, one with `*.` for any subdomain, the scheme of an app with or without a host,
    `null`, or `*` for all.
    """
    text = text.lower()
    parts = urlsplit(text)
    if parts.scheme not in _PORTS:
        if text in (ANY, OPAQUE) or _APP.fullmatch(text):
            return text
        raise ValueError("not an origin")
    host = parts.hostname or ""
    rest = parts.path or parts.query or parts.fragment or parts.username
    if ":" in host:
        host = f"[{host}]"
    elif not _HOST.fullmatch(host := host if host.isascii() else host.encode("idna").decode()):
        raise ValueError("not a host")
    if rest:
        raise ValueError("more than an origin")
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def matcher(allowed: Sequence[str]) -> Callable[[str], object]:
    """Return what tells, of an Origin header, whether it is one of these; without any, all are."""
    pattern = re.compile("|".join(map(_pattern, allowed or (ANY,))))
    return lambda origin: pattern.fullmatch(origin.lower())


def _pattern(entry: str) -> str:
    if entry == ANY or entry.endswith("://"):
        return re.escape(entry.removesuffix(ANY)) + ".*"
    return re.escape(entry).replace(r"\*", _LABELS)
