"""Types of setting values: each checks a value and says what is allowed.

The settings themselves are in `settings`, the sources of their values in `sources`.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from percolator import nats_url
from percolator.config.origins import normalized

MIN_SECRET_BYTES = 32
"""Minimum size of an HS256 secret: the size of its hash."""
MIN_BUFFER_BYTES = 1_024
"""Minimum buffer per client. A smaller one would not hold one reply, and cut off every client."""
MAX_PATH_CHARS = 200
"""Characters of a path that an error shows."""
EXPLAINED = "explained"
"""Type of the validation error that has a sentence of its own in place of the rule."""

Network = IPv4Network | IPv6Network

_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+)(?::([0-9]{1,5}))?")


class Rule(NamedTuple):
    """What an annotated type allows, in words that complete the sentence "it must be"."""

    text: str


def rule_of(field: FieldInfo) -> str:
    """Return what a setting allows, in words that complete the sentence "it must be"."""
    return next(each.text for each in field.metadata if isinstance(each, Rule))


def is_host(text: str) -> bool:
    """Return whether a string can be an address or a hostname.

    A lookup of any other string fails with an error that says less.
    """
    try:
        text.encode("idna")
    except UnicodeError:  # an empty label, or one of 64 characters or more
        return False
    return bool(text) and text.isprintable() and " " not in text


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError("not a host")
    return text


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic catches ValueError only
    return value


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value:
            raise ValueError("not a path")
        try:
            return Path(value).expanduser()
        except RuntimeError:  # ~name, and there is no such user
            raise ValueError("not a path") from None
    return value


def _readable(path: Path) -> Path:
    if str(path).startswith("-----BEGIN "):
        raise _explained("it must be the path of a file, not what is in the file")
    try:
        if path.is_file():
            return path
    except OSError as error:  # a folder above it is closed to us, or the text is no path
        raise _explained(
            f"{str(path)[:MAX_PATH_CHARS]} cannot be read ({error.strerror})"
        ) from None
    raise ValueError("not a file")


def _items(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("not a list")


def _networks(value: object) -> object:
    return tuple(ip_network(str(item), strict=False) for item in _items(value))


def _origins(value: object) -> object:
    return tuple(normalized(str(item)) for item in _items(value))


def host_and_port(text: str) -> tuple[str, str] | None:
    """Split a Host header in lower case; the port may be empty. None if it is not valid."""
    found = _HOST_AND_PORT.fullmatch(text.lower())
    return (found[1].removesuffix("."), found[2] or "") if found else None


def _hosts(value: object) -> object:
    return tuple(_allowed_host(str(item)) for item in _items(value))


def _allowed_host(text: str) -> str:
    """Return a host as in the Host header, without a port if it allows any."""
    parts = host_and_port(text)
    if parts is None or not is_host(parts[0]):
        raise ValueError("not a host")
    return ":".join(filter(None, parts))


def _nats_urls(value: str) -> str:
    urls = nats_url.split(value)
    for number, url in enumerate(urls):
        try:
            nats_url.parse(url)
        except nats_url.EscapeError as error:
            raise _unescaped(str(error)) from None
        except ValueError:
            # A comma in a password leaves the sign before the host to a later part.
            if "@" not in url and any("@" in each for each in urls[number:]):
                raise _unescaped("the list has an invalid address") from None
            raise
    return ",".join(urls)


def _unescaped(text: str) -> PydanticCustomError:
    return _explained(f"{text}: in a user or password, {nats_url.ESCAPES}")


def _explained(text: str) -> PydanticCustomError:
    return PydanticCustomError(EXPLAINED, "explained", {"text": text})


def _zero_or_at_least(minimum: int) -> Callable[[float], float]:
    def check(value: float) -> float:
        if 0 < value < minimum:
            raise ValueError("too small")
        return value

    return check


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError("too short")
    return value


_NUMBER = BeforeValidator(_not_bool)
_MAX_COUNT = 10_000_000

Count = Annotated[
    int, _NUMBER, Field(ge=0, le=_MAX_COUNT), Rule(f"a whole number from 0 to {_MAX_COUNT:,}")
]
Port = Annotated[int, _NUMBER, Field(ge=0, le=65_535), Rule("a whole number from 0 to 65,535")]
Capacity = Annotated[
    int, _NUMBER, Field(ge=1, le=1_000_000), Rule("a whole number from 1 to 1,000,000")
]
Buffer = Annotated[
    int,
    _NUMBER,
    Field(ge=0, le=_MAX_COUNT),
    AfterValidator(_zero_or_at_least(MIN_BUFFER_BYTES)),
    Rule(f"0, or a whole number from {MIN_BUFFER_BYTES:,} to {_MAX_COUNT:,}"),
]
Seconds = Annotated[
    float,
    _NUMBER,
    Field(ge=0, le=86_400, allow_inf_nan=False),
    Rule("a number of seconds from 0 to 86,400"),
]
Rate = Annotated[
    float,
    _NUMBER,
    Field(ge=0, le=1_000_000, allow_inf_nan=False),
    Rule("a number from 0 to 1,000,000"),
]
Factor = Annotated[
    float,
    _NUMBER,
    Field(ge=0, le=1_000_000_000, allow_inf_nan=False),
    AfterValidator(_zero_or_at_least(1)),
    Rule("0, or a number from 1 to 1,000,000,000"),
]
Bool = Annotated[bool, Rule("true or false")]
Host = Annotated[str, AfterValidator(_host), Rule("an IP address or a hostname")]
StreamName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    Rule("1 to 64 letters, digits, _ or -"),
]
NatsPrefix = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None,
    Rule("1 to 32 letters, digits, _ or -"),
]
InboxPrefix = Annotated[
    Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*$")] | None,
    Rule("a subject without wildcards, such as _INBOX.gateway, of up to 64 characters"),
]
NatsUrl = Annotated[
    Annotated[str, AfterValidator(_nats_urls)] | None,
    Rule("one or more addresses such as nats://127.0.0.1:4222, comma-separated"),
]
Folder = Annotated[Path, BeforeValidator(_path), Rule("the path of a folder")]
File = Annotated[
    Annotated[Path, BeforeValidator(_path), AfterValidator(_readable)] | None,
    Rule("the path of an existing file"),
]
Secret = Annotated[Annotated[SecretStr, Field(min_length=1)] | None, Rule("a non-empty string")]
SigningSecret = Annotated[
    SecretStr | None,
    AfterValidator(_long_enough),
    Rule(f"a string of at least {MIN_SECRET_BYTES} bytes"),
]
Networks = Annotated[
    tuple[Network, ...],
    NoDecode,
    BeforeValidator(_networks),
    Rule("networks such as 10.0.0.0/8, comma-separated"),
]
Origins = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_origins),
    Rule(
        "origins such as https://example.com, https://*.example.com, tauri://localhost or null, "
        "comma-separated"
    ),
]
Hosts = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_hosts),
    Rule("host names such as feed.example.com or feed.example.com:8443, comma-separated"),
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"], Rule("debug, info, warning or error")
]
LineFormat = Annotated[Literal["text", "json"], Rule("text or json")]
