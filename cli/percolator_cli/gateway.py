"""The gateway as a command sees it: its address in any form, and its HTTP responses."""

import contextlib
import email.utils
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from percolator import openssl
from percolator.client.address import GatewayAddress, parse
from percolator.config.settings import Settings
from percolator.errors import GatewayError, GatewayUnreachableError, SettingsError
from percolator.printable import printable
from percolator_cli.answers import Answer, Health, Markets, Rejected, Stats

SECONDS = 5.0
"""Seconds of silence after which a response is given up."""
TOTAL_SECONDS = 10.0
"""Seconds that a whole response may take."""
MAX_BYTES = 2**23
"""Bytes that a response may have: that of the largest gateway has two million."""
READ_BYTES = 65_536

_UNKNOWN_CA = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR codes for a chain that does not end in a trusted CA."""
_REFUSALS: dict[int, str] = {
    HTTPStatus.MISDIRECTED_REQUEST: "does not serve this host name (its setting allowed_hosts): "
    "set an address with a name from there with --url",
    HTTPStatus.TOO_MANY_REQUESTS: "has had too many requests from this address (its setting "
    "requests_per_second), or wrong tokens: try again in a second",
}


class Response(NamedTuple):
    """An HTTP response; `date` is its Date header, in Unix seconds."""

    status: int
    body: bytes
    date: float | None


A = TypeVar("A", bound=Answer)


def address(url: str | None, settings: Settings) -> GatewayAddress:
    """Parse an address in any of its forms. Without one, the settings' host and port are used.

    Raises SettingsError if it is not a valid address.
    """
    if url is None:
        host = _reachable(settings.host)
        return GatewayAddress(host, settings.port, secure=settings.tls_cert is not None)
    try:
        return parse(url)
    except GatewayUnreachableError as error:
        raise SettingsError(
            "--url must be an address such as ws://127.0.0.1:3001 (ws, wss, http or https): "
            f"{error}"
        ) from None


def _reachable(host: str) -> str:
    """Return where a gateway that listens on a host is reached: on loopback, if it is on all.

    `::` includes IPv4, which also a machine without IPv6 has.
    """
    try:
        return "127.0.0.1" if ip_address(host).is_unspecified else host
    except ValueError:
        return host


def stats(gateway: GatewayAddress, token: str | None) -> Stats:
    """Fetch `/ws/stats`. Raises GatewayError, GatewayUnreachableError."""
    path = "/ws/stats"
    return _parsed(Stats, gateway, path, _ok(gateway, path, fetch(gateway, path, token)))


def markets(gateway: GatewayAddress, token: str | None) -> Markets:
    """Fetch `/markets`. Raises GatewayError, GatewayUnreachableError."""
    path = "/markets"
    return _parsed(Markets, gateway, path, _ok(gateway, path, fetch(gateway, path, token)))


def rejected(gateway: GatewayAddress, token: str | None, since: int) -> Rejected:
    """Fetch `/rejected` after a number. Raises GatewayError, GatewayUnreachableError."""
    path = f"/rejected?since={since}" if since else "/rejected"
    response = fetch(gateway, path, token)
    if response.status == HTTPStatus.NOT_FOUND:
        raise GatewayError(
            f"there is no page {gateway.http}/rejected: an older gateway keeps no rejections; "
            "update it, follow them with --nats, or choose another gateway with --url"
        )
    return _parsed(Rejected, gateway, path, _ok(gateway, path, response))


def health(gateway: GatewayAddress) -> tuple[Health, float | None]:
    """Fetch `/health`, with its Date header. Raises GatewayError, GatewayUnreachableError."""
    path = "/health"
    response = fetch(gateway, path)
    return _parsed(Health, gateway, path, response), response.date


def _ok(gateway: GatewayAddress, path: str, response: Response) -> Response:
    """Return a response whose status is 200. Raises GatewayError."""
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise GatewayError(
            f"the gateway at {gateway.http} requires its stats token: "
            "set PERCOLATOR_STATS_TOKEN to the same value as on the gateway"
        )
    if response.status in _REFUSALS:
        raise GatewayError(f"the gateway at {gateway.http} {_REFUSALS[response.status]}")
    if response.status != HTTPStatus.OK:
        raise not_a_gateway(gateway, f"HTTP {response.status} from {path}")
    return response


def _parsed(kind: type[A], gateway: GatewayAddress, path: str, response: Response) -> A:
    try:
        return kind.model_validate_json(response.body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        raise not_a_gateway(gateway, f"no JSON, HTTP {response.status} from {path}")
    field = printable(".".join(map(str, fault["loc"])), 100) or "the answer"
    what = "is missing" if fault["type"] == "missing" else "is not valid"
    raise not_a_gateway(gateway, f"{field} {what} in {path}")


def fetch(gateway: GatewayAddress, path: str, token: str | None = None) -> Response:
    """Fetch a path, without following a redirect. Raises GatewayError, GatewayUnreachableError."""
    kind = http.client.HTTPSConnection if gateway.secure else http.client.HTTPConnection
    connection = kind(gateway.host, gateway.port, timeout=SECONDS)
    headers = gateway.authorization(token)
    try:
        connection.connect()
        with _deadline(connection.sock):
            connection.request("GET", gateway.prefix + path, headers=headers)
            with connection.getresponse() as response:
                body = _body(response)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(gateway, error) from None
    finally:
        connection.close()
    if len(body) > MAX_BYTES:
        raise not_a_gateway(gateway, f"{path} has more than {MAX_BYTES:,} bytes")
    return Response(response.status, body, _seconds(response.getheader("Date")))


def _body(response: http.client.HTTPResponse) -> bytes:
    """Read a body up to its end, or to a little more than MAX_BYTES."""
    body = bytearray()
    while len(body) <= MAX_BYTES and (data := response.read1(READ_BYTES)):
        body += data
    return bytes(body)


@contextlib.contextmanager
def _deadline(sock: socket.socket) -> Iterator[None]:
    """End what a block does with a socket after TOTAL_SECONDS. Raises TimeoutError then.

    A timeout of the socket itself begins again with each byte that arrives.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which may wait

    timer = threading.Timer(TOTAL_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError


def _seconds(date: str | None) -> float | None:
    """Return a Date header in Unix seconds; None if it is missing or not valid."""
    try:
        return None if date is None else email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


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


def not_a_gateway(gateway: GatewayAddress, why: str) -> GatewayError:
    """Return an error that says that another program answers at this address."""
    return GatewayError(
        f"{gateway.http} does not answer like a percolator gateway: {why}; "
        "set the gateway's address with --url"
    )
