"""The address of a NATS server as users write it: `nats://USER:PASSWORD@HOST:PORT`.

User and password are percent-encoded. What stands before the last `@` is taken as it is: brackets
and further signs in a password need no escape, except those that end the part before the host.
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 4222
INVALID = "not the address of a NATS server"
ESCAPES = "write % as %25, # as %23, ? as %3F, / as %2F, @ as %40 and a comma as %2C"
"""How to write the characters that have a meaning in addresses and lists of them."""


class EscapeError(ValueError):
    """An address is invalid because something in it, most likely its password, is not escaped."""


@dataclass(frozen=True, slots=True)
class NatsUrl:
    """The parts of an address; a login without a password is a token."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def has_login(self) -> bool:
        """True if the address has a user or a token."""
        return self.user is not None or self.token is not None

    @property
    def place(self) -> str:
        """The host and the port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def plain(self) -> str:
        """The address without the login."""
        return f"{self.scheme}://{self.place}"


def split(addresses: str) -> list[str]:
    """Split a comma-separated list of addresses; the scheme is added if it is missing."""
    parts = (part.strip() for part in addresses.split(","))
    return [part if "://" in part else f"nats://{part}" for part in parts]


def parse(address: str) -> NatsUrl:
    """Parse one address with a scheme. Raises ValueError, or EscapeError if escapes may help."""
    scheme, _, rest = address.partition("://")
    rest = rest.removesuffix("/")
    if any(mark in rest for mark in "#?/"):
        raise EscapeError("an address has no path, query or fragment")
    login, at, place = rest.rpartition("@")
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its text may quote a part of a password
        raise ValueError(INVALID) from None
    if scheme not in ("nats", "tls") or port == 0 or host.split() != [host]:
        raise ValueError(INVALID)
    if not at:
        return NatsUrl(scheme, host, port or DEFAULT_PORT)
    user, colon, password = login.partition(":")
    if not colon:
        return NatsUrl(scheme, host, port or DEFAULT_PORT, token=_decoded(user))
    return NatsUrl(scheme, host, port or DEFAULT_PORT, _decoded(user), _decoded(password))


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise EscapeError("the escapes of the login are not UTF-8") from None
