"""Addresses of gateways, in every form that clients and commands accept.

    gateway.example                      ws://gateway.example:80/ws
    https://gateway.example/feed         wss://gateway.example:443/feed/ws
    wss://user:pass@gateway.example/ws   wss://gateway.example:443/ws, with a Basic login

A path that a proxy puts before the gateway's own is kept, and so are a login and a query. Neither
of these two is in a text that is shown.
"""

import base64
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from percolator.errors import GatewayUnreachableError
from percolator.redaction import redact_logins, redact_tokens

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_ROUTES = ("/ws/stats", "/health/live", "/health", "/markets", "/metrics", "/ws", "/")


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """The address of a gateway. `prefix` is a path that a proxy puts before the gateway's own."""

    host: str
    port: int
    secure: bool = False
    prefix: str = ""
    login: str = field(default="", repr=False)
    """A user and a password, as `user:pass`; empty if there is none."""
    query: str = field(default="", repr=False)

    @property
    def http(self) -> str:
        """The address for HTTP clients, without a path of the gateway's own."""
        return f"http{'s' * self.secure}://{self.authority}{self.prefix}"

    @property
    def ws(self) -> str:
        """The address for WebSocket clients, as it is shown."""
        return f"ws{'s' * self.secure}://{self.authority}{self.prefix}"

    @property
    def target(self) -> str:
        """What an upgrade requests: the path and the query."""
        return f"{self.prefix}/ws{'?' * bool(self.query)}{self.query}"

    @property
    def socket(self) -> str:
        """The URL of the WebSocket, without the login: that is in `authorization`."""
        return f"ws{'s' * self.secure}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """True if it is on this machine, so that no proxy leads there."""
        return is_loopback(self.host)

    def authorization(self, token: str | None = None) -> dict[str, str]:
        """Return the header of a request: a token goes before the login."""
        if token is not None:
            return {"Authorization": f"Bearer {token}"}
        if not self.login:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(self.login.encode()).decode()}"}


def parse(url: str) -> GatewayAddress:
    """Read an address in any of its forms. Raises GatewayUnreachableError if it is not one."""
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        secure, host, port = _SECURE[parts.scheme], parts.hostname or "", parts.port
        host.encode("idna")  # an empty label, or one of 64 characters or more, is none
        valid = bool(host) and " " not in host and host.isprintable()
    except (KeyError, ValueError):
        valid = False
    if not valid:
        shown = redact_tokens(redact_logins(url))
        raise GatewayUnreachableError(f"{shown} is not the address of a gateway")
    path = parts.path.rstrip("/") or "/"
    route = next((route for route in _ROUTES if path.endswith(route)), "")
    login = parts.netloc.rpartition("@")[0]
    user, _, password = login.partition(":")
    return GatewayAddress(
        host,
        port or (443 if secure else 80),
        secure,
        path.removesuffix(route),
        f"{unquote(user)}:{unquote(password)}" if login else "",
        parts.query,
    )


def is_loopback(host: str) -> bool:
    """True if a host is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
