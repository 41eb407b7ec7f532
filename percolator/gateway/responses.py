"""HTTP responses: their form, the standard refusals, and the headers that requests are read for."""

import email.utils
import re
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from percolator.gateway import proxy_header

SWITCHING = HTTPStatus.SWITCHING_PROTOCOLS
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

METHODS = ("GET", "HEAD", "OPTIONS")
ALLOW = {"Allow": ", ".join(METHODS)}

_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")


def answer(
    status: HTTPStatus, body: bytes, content_type: str = TEXT, extra: dict[str, str] | None = None
) -> Response:
    """Return a response after which the connection closes."""
    headers = Headers(
        {
            "Date": email.utils.formatdate(usegmt=True),
            "Connection": "close",
            "Content-Length": str(len(body)),
            "Content-Type": content_type,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(extra or {}),
        }
    )
    return Response(status.value, status.phrase, headers, body)


def sentence(status: HTTPStatus, text: str, extra: dict[str, str] | None = None) -> Response:
    """Return a response of one sentence, as plain text."""
    return answer(status, text.encode() + b"\n", TEXT, extra)


def not_found() -> Response:
    """The path does not exist."""
    return sentence(HTTPStatus.NOT_FOUND, "There is nothing at this path.")


def wrong_method() -> Response:
    """The method is none of METHODS."""
    text = "Only GET, HEAD and OPTIONS are supported here."
    return sentence(HTTPStatus.METHOD_NOT_ALLOWED, text, ALLOW)


def allowed_methods() -> Response:
    """The methods that every path allows: the answer to OPTIONS."""
    response = answer(HTTPStatus.NO_CONTENT, b"", extra=ALLOW)
    del response.headers["Content-Length"], response.headers["Content-Type"]
    return response


def upgrade_required() -> Response:
    """The path is for WebSockets, and the request is no upgrade, often because of a proxy."""
    return sentence(
        HTTPStatus.UPGRADE_REQUIRED,
        "This is a WebSocket, but the request is not an upgrade. If a proxy is in front, it must "
        "pass the upgrade on: nginx with proxy_http_version 1.1, proxy_set_header Upgrade "
        "$http_upgrade and proxy_set_header Connection $http_connection; Apache with "
        "upgrade=websocket in ProxyPass; HAProxy and Caddy do without a setting.",
        {"Upgrade": "websocket", "Connection": "close, Upgrade"},
    )


def too_large() -> Response:
    """The request head is over its limit."""
    return sentence(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request head is larger than 8 KiB."
    )


def too_many_attempts() -> Response:
    """The address has made too many attempts."""
    return sentence(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many connection attempts from this address; wait a second.",
        {"Retry-After": "1"},
    )


def too_many_requests() -> Response:
    """The address has made too many plain requests."""
    return sentence(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests from this address; wait a second.",
        {"Retry-After": "1"},
    )


def too_much_unread() -> Response:
    """The address leaves too much of its earlier answers unread."""
    return sentence(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This address has not read its earlier answers; read them first.",
        {"Retry-After": "1"},
    )


def too_many_wrong_tokens() -> Response:
    """The token is wrong, and so were too many others of the address."""
    return sentence(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many wrong tokens from this address; wait a second.",
        {"Retry-After": "1"},
    )


def too_slow() -> Response:
    """The answer takes too long, or too many others come first."""
    return sentence(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This takes too long at the moment; try again in a few seconds, or ask for less.",
        {"Retry-After": "5"},
    )


def shutting_down() -> Response:
    """The gateway ends."""
    return unavailable("The gateway is shutting down.")


def unavailable(text: str) -> Response:
    """Something that the answer needs is away; the text says what."""
    return sentence(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "1"})


def internal_error() -> Response:
    """An internal error; the reason is only in the log."""
    return sentence(HTTPStatus.INTERNAL_SERVER_ERROR, "An internal error occurred; try again.")


def foreign_origin() -> Response:
    """The page's origin may not connect."""
    return sentence(HTTPStatus.FORBIDDEN, "Pages from this origin may not connect here.")


def foreign_host() -> Response:
    """The Host header is missing, repeated, or names a host that is not served here."""
    return sentence(
        HTTPStatus.MISDIRECTED_REQUEST, "This gateway does not serve the host in the Host header."
    )


def unauthorized() -> Response:
    """The request needs a valid token."""
    return sentence(
        HTTPStatus.UNAUTHORIZED,
        "This needs a valid token: Authorization: Bearer TOKEN.",
        {"WWW-Authenticate": "Bearer"},
    )


def malformed(head: bytes) -> Response:
    """The head did not parse: the method is none of METHODS, or it is not HTTP."""
    if head.startswith((proxy_header.PREFIX, proxy_header.SIGNATURE)):
        return sentence(
            HTTPStatus.BAD_REQUEST,
            "A PROXY header is read only with proxy_protocol, once, and from trusted_proxies.",
        )
    line = _REQUEST_LINE.match(head)
    if line and line[1].decode() not in METHODS:
        return wrong_method()
    return sentence(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP/1.1 request.")


def written(response: Response, head: bytes) -> bytes:
    """Return a response as bytes: without its body, if that is what the request head asks for."""
    data = response.serialize()
    return data[: len(data) - len(response.body)] if head.startswith(b"HEAD ") else data


def bearer(request: Request) -> str | None:
    """Return the bearer token, if there is exactly one Authorization header."""
    given = request.headers.get_all("Authorization")
    kind, _, token = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if kind.lower() == "bearer" else None


def token_of(request: Request) -> str | None:
    """Return the token of a request: a bearer token, else `?token=`, which browsers need."""
    query = request.path.partition("?")[2]
    return bearer(request) or next(iter(parse_qs(query).get("token", ())), None)


def is_upgrade(request: Request) -> bool:
    """Return whether a request asks for a WebSocket; the handshake checks the rest."""
    return request.method == "GET" and any(
        "websocket" in value.lower() for value in request.headers.get_all("Upgrade")
    )
