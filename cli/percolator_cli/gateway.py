"""The gateway as a command sees it: its address in any form, and its HTTP responses."""

import http.client
import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from percolator import openssl
from percolator.config.settings import Settings
from percolator.config.types import is_host
from percolator.errors import GatewayError, GatewayUnreachableError, SettingsError

SECONDS = 5.0
"""Seconds that a response may take."""

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
_ROUTES = ("/ws/stats", "/health/live", "/health", "/markets", "/metrics", "/ws", "/")
_UNKNOWN_CA = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR codes for a chain that does not end in a trusted CA."""
_REFUSALS: dict[int, str] = {
    HTTPStatus.MISDIRECTED_REQUEST: "does not serve this host name (its setting allowed_hosts): "
    "set an address with a name from there with --url",
    HTTPStatus.TOO_MANY_REQUESTS: "has had too many requests from this address (its setting "
    "requests_per_second), or wrong tokens: try again in a second",
}
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - connected to, not bound


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """The address of a gateway. `prefix` is a path that a proxy puts before the gateway's own."""

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


class Response(NamedTuple):
    """An HTTP response; `date` is its Date header."""

    status: int
    body: bytes
    date: str | None


def address(url: str | None, settings: Settings) -> GatewayAddress:
    """Parse an address in any of its forms. Without one, the settings' host and port are used.

    Raises SettingsError if it is not a valid address.
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
            "--url must be an address such as ws://127.0.0.1:3001 (ws, wss, http or https), "
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
    response = fetch(gateway, path, token)
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise GatewayError(
            f"the gateway at {gateway.http} requires its stats token: "
            "set PERCOLATOR_STATS_TOKEN to the same value as on the gateway"
        )
    if response.status in _REFUSALS:
        raise GatewayError(f"the gateway at {gateway.http} {_REFUSALS[response.status]}")
    try:
        return json.loads(response.body)
    except ValueError:
        raise not_a_gateway(gateway, f" (HTTP {response.status} from {path})") from None


def fetch(gateway: GatewayAddress, path: str, token: str | None = None) -> Response:
    """Fetch a path. Raises GatewayUnreachableError."""
    kind = http.client.HTTPSConnection if gateway.secure else http.client.HTTPConnection
    connection = kind(gateway.host, gateway.port, timeout=SECONDS)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", gateway.prefix + path, headers=headers)
        response = connection.getresponse()
        return Response(response.status, response.read(), response.getheader("Date"))
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(gateway, error) from None
    finally:
        connection.close()


def unreachable(gateway: GatewayAddress, error: Exception) -> GatewayUnreachableError:
    """Return an error that says why the gateway does not answer, and what to do."""
    if isinstance(error, TimeoutError):
        reason = "timed out (without TLS, use http or ws)" if gateway.secure else "timed out"
    elif isinstance(error, ssl.SSLCertVerificationError):
        hint = " (SSL_CERT_FILE names a CA to trust)" if error.verify_code in _UNKNOWN_CA else ""
        reason = f"its certificate is refused: {openssl.reason(error)}{hint}"
    elif isinstance(error, ssl.SSLError):
        reason = f"the TLS handshake failed: {openssl.reason(error)} (without TLS, use http or ws)"
    elif isinstance(error, http.client.RemoteDisconnected):
        reason = "it closed the connection (if it uses TLS, use https or wss)"
    elif isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
    else:
        reason = "not an HTTP server"
    return GatewayUnreachableError(
        f"no gateway answers at {gateway.http}: {reason}; "
        "start one with `percolator serve`, or choose another with --url"
    )


def not_a_gateway(gateway: GatewayAddress, detail: str = "") -> GatewayError:
    """Return an error that says that another program answers at this address."""
    return GatewayError(
        f"the server at {gateway.http} is not a percolator gateway{detail}: "
        "set the gateway's address with --url"
    )
