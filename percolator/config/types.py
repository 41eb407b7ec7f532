"""What the value of a setting may be: types that check it, and say what is allowed.

Which settings there are, and where their values come from, is in `settings`.
"""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

MIN_SECRET_BYTES = 32
"""What HS256 needs: as many bytes as its hash has."""
MIN_BUFFER_BYTES = 1_024
"""Less would not hold one reply, and every client would be cut off."""

Network = IPv4Network | IPv6Network


class Rule(NamedTuple):
    """Says in an annotation what is allowed, to go on from "it must be"."""

    text: str


def allowed(field: FieldInfo) -> str:
    """Give what is allowed for a setting."""
    return next(each.text for each in field.metadata if isinstance(each, Rule))


def hide_password(url: str) -> str:
    """Give NATS addresses without what stands before their hosts: user and password, or a token."""
    return ", ".join(
        part.partition("://")[0].strip() + "://" + part.partition("://")[2].rpartition("@")[2]
        for part in url.split(",")
    )


def is_host(text: str) -> bool:
    """Whether a text may be an address or a name; else looking it up fails in ways of its own."""
    try:
        text.encode("idna")
    except UnicodeError:  # two dots side by side, or 64 characters between two
        return False
    return bool(text) and text.isprintable() and " " not in text


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError("an address")
    return text


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number")  # noqa: TRY004 - pydantic takes a ValueError
    return value


def _path(value: object) -> object:
    if isinstance(value, str):
        if not value:
            raise ValueError("a path")
        try:
            return Path(value).expanduser()
        except RuntimeError:  # ~somebody, and there is no somebody
            raise ValueError("a path") from None
    return value


def _listed(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("a list, or one text divided by commas")


def _networks(value: object) -> object:
    return tuple(ip_network(str(item), strict=False) for item in _listed(value))


def _origins(value: object) -> object:
    return tuple(_origin(item) for item in _listed(value))


def _origin(value: object) -> str:
    """Check an origin and write it as browsers do."""
    parts = urlsplit(str(value).lower())
    rest = parts.path or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not parts.hostname or rest:
        raise ValueError("an origin")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _nats_url(value: str) -> str:
    return ",".join(_nats_address(part.strip()) for part in value.split(","))


def _nats_address(address: str) -> str:
    address = address if "://" in address else f"nats://{address}"
    parts = urlsplit(address)
    if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.port == 0:
        raise ValueError("an address of NATS")
    return address


def _at_least(least: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if 0 < value < least:
            raise ValueError("too small")
        return value

    return check


def _strong(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError("too short")
    return value


_NUMBER = BeforeValidator(_no_switch)
_MOST = 10_000_000

Count = Annotated[int, _NUMBER, Field(ge=0, le=_MOST), Rule(f"a whole number from 0 to {_MOST:,}")]
Port = Annotated[int, _NUMBER, Field(ge=0, le=65_535), Rule("a whole number from 0 to 65,535")]
Capacity = Annotated[
    int, _NUMBER, Field(ge=1, le=1_000_000), Rule("a whole number from 1 to 1,000,000")
]
Buffer = Annotated[
    int,
    _NUMBER,
    Field(ge=0, le=_MOST),
    AfterValidator(_at_least(MIN_BUFFER_BYTES)),
    Rule(f"0, or a whole number from {MIN_BUFFER_BYTES:,} to {_MOST:,}"),
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
Bool = Annotated[bool, Rule("true or false")]
Host = Annotated[str, AfterValidator(_host), Rule("an address or a name")]
StreamName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    Rule("1 to 64 of the characters A-Z, a-z, 0-9, _ and -"),
]
NatsUrl = Annotated[
    Annotated[str, AfterValidator(_nats_url)] | None,
    Rule("one or more addresses such as nats://127.0.0.1:4222, divided by commas"),
]
Folder = Annotated[Path, BeforeValidator(_path), Rule("the path of a folder")]
File = Annotated[
    Annotated[FilePath, BeforeValidator(_path)] | None, Rule("the path of a file that is there")
]
Secret = Annotated[
    Annotated[SecretStr, Field(min_length=1)] | None, Rule("a text that is not empty")
]
SigningSecret = Annotated[
    SecretStr | None,
    AfterValidator(_strong),
    Rule(f"a text of {MIN_SECRET_BYTES} bytes or more"),
]
Networks = Annotated[
    tuple[Network, ...],
    NoDecode,
    BeforeValidator(_networks),
    Rule("networks such as 10.0.0.0/8, divided by commas"),
]
Origins = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_origins),
    Rule("origins such as https://example.com, divided by commas"),
]
Level = Annotated[
    Literal["debug", "info", "warning", "error"], Rule("debug, info, warning or error")
]
LineFormat = Annotated[Literal["text", "json"], Rule("text or json")]
