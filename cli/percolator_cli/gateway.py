"""The gateway as a command sees it from outside: its address in any form, and its HTTP answers."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from percolator.config.settings import Settings
from percolator.config.types import is_host
from percolator.errors import GatewayError, GatewayUnreachableError, SettingsError

SECONDS = 5.0
"""So long an answer may take."""

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_ROUTES = ("/ws/stats", "/health/live", "/health", "/markets", "/metrics", "/ws", "/")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what a host may be


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway is. `prefix` is a path before its own, where a proxy has put one."""

    host: str
    port: int
    secure: bool = False
    prefix: str = ""

    @property
    def http(self) -> str:
        """The address for HTTP clients, without a path."""
        return f"http{'s' * self.secure}://{self._authority}{self.prefix}"

    @property
    def ws(self) -> str:
        """The address for WebSocket clients."""
        return f"ws{'s' * self.secure}://{self._authority}{self.prefix}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Answer(NamedTuple):
    """An HTTP answer; `date` is the header of that name."""

    status: int
    body: bytes
    date: str | None


def address(url: str | None, settings: Settings) -> GatewayAddress:
    """Read an address in any of its forms; without one, take where the settings have a gateway.

    Raises SettingsError where the text is no address.
    """
    if url is None:
        host = _ANYWHERE.get(settings.host, settings.host)
        return GatewayAddress(host, settings.port, secure=settings.tls_cert is not None)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _SECURE or not is_host(parts.hostname or ""):
        raise SettingsError(
            "--url must be an address like ws://127.0.0.1:3001 (ws, wss, http or https), "
            f"not {url!r}"
        )
    secure = _SECURE[parts.scheme]
    path = parts.path.rstrip("/") or "/"
    route = next((route for route in _ROUTES if path.endswith(route)), "")
    return GatewayAddress(
        str(parts.hostname), port or (443 if secure else 80), secure, path.removesuffix(route)
    )


def get(gateway: GatewayAddress, path: str, token: str | None = None) -> Any:  # noqa: ANN401 - JSON
    """Fetch a path, parsed as JSON. Raises GatewayError, GatewayUnreachableError."""
    answer = fetch(gateway, path, token)
    if answer.status == http.HTTPStatus.UNAUTHORIZED:
        raise GatewayError(
            f"the gateway at {gateway.http} asks for its stats token: "
            "set PERCOLATOR_STATS_TOKEN to the one that it has"
        )
    try:
        return json.loads(answer.body)
    except ValueError:
        raise GatewayError(
            f"what answers at {gateway.http}{path} is no percolator gateway "
            f"(HTTP {answer.status}): name it with --url"
        ) from None


def fetch(gateway: GatewayAddress, path: str, token: str | None = None) -> Answer:
    """Fetch a path. Raises GatewayUnreachableError."""
    kind = http.client.HTTPSConnection if gateway.secure else http.client.HTTPConnection
    connection = kind(gateway.host, gateway.port, timeout=SECONDS)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", gateway.prefix + path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.getheader("Date"))
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(gateway, error) from None
    finally:
        connection.close()


def unreachable(gateway: GatewayAddress, error: Exception) -> GatewayUnreachableError:
    """Say that no gateway answers, and what to do."""
    if isinstance(error, TimeoutError):
        reason = "it does not answer in time"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = "its certificate is not trusted here (name its CA in SSL_CERT_FILE)"
    elif isinstance(error, ssl.SSLError):
        reason = "there is no TLS there (say http or ws)"
    elif isinstance(error, http.client.RemoteDisconnected):
        reason = "it hangs up (if it speaks TLS, say https or wss)"
    elif isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
    else:
        reason = "the answer is no HTTP"
    return GatewayUnreachableError(
        f"no gateway answers at {gateway.http}: {reason}; "
        "start one with `percolator serve`, or name another with --url"
    )
