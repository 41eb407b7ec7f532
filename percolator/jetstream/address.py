"""Where NATS is: its servers, what to log in with, and what TLS must show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import ParseResult

from percolator import nats_url
from percolator.redaction import redact_logins


class Login(NamedTuple):
    """What CONNECT carries: user and password, or a token, or nothing."""

    user: str | None = None
    password: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One server: its address without the login, the login, and the names for its certificate."""

    url: str
    login: Login = field(repr=False)
    tls_names: tuple[str, ...]
    """The names that its certificate may have, the most likely one first."""

    @property
    def place(self) -> str:
        """The host and the port, which identify the server."""
        return self.url.partition("://")[2]


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """The address of NATS and the credentials for it. `url` may be a comma-separated list.

    `prefix` is the name of this user's share of JetStream, see `NatsClient`.
    """

    url: str = field(repr=False)
    creds: Path | None = None
    token: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None
    prefix: str | None = None
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_first: bool = False
    """Begin with the TLS handshake, before the server says anything."""
    inbox_prefix: str | None = None

    @property
    def requires_tls(self) -> bool:
        """True if nothing may be sent unencrypted, to any of the servers."""
        return (
            self.tls_ca is not None
            or self.tls_cert is not None
            or self.tls_first
            or any(each.startswith("tls://") for each in nats_url.split(self.url))
        )

    @property
    def has_login(self) -> bool:
        """True if there is something to log in with."""
        return bool(self.creds or self.token or self.user is not None or "@" in self.url)

    @property
    def servers(self) -> list[Server]:
        """The configured servers. Raises ValueError."""
        return [self._server(nats_url.parse(each)) for each in nats_url.split(self.url)]

    @property
    def shown(self) -> str:
        """The address for messages and logs, without user and password."""
        return redact_logins(", ".join(nats_url.split(self.url)))

    def discovered(self, found: Sequence[ParseResult], by: Server) -> list[Server]:
        """Return the servers that a cluster has announced to a client of one server.

        They get its login. A certificate often holds only the names of hosts, and the cluster
        announces IP addresses: it may then hold the name of any configured server.
        """
        names = dict.fromkeys((by.tls_names[0], *(each.tls_names[0] for each in self.servers)))
        hosts = [name for name in names if not is_ip(name)]
        return [
            Server(
                f"{by.url.partition('://')[0]}://{url.netloc}",
                by.login,
                (*hosts[:1], url.hostname, *hosts[1:]) if is_ip(url.hostname) else (url.hostname,),
            )
            for url in found
            if url.hostname
        ]

    def _server(self, url: nats_url.NatsUrl) -> Server:
        login = Login(url.user, url.password, url.token)
        if self.user is not None:
            login = Login(self.user, self.password)
        elif self.token is not None:
            login = Login(token=self.token)
        return Server(url.plain, login, (url.host,))


def is_ip(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
