"""The HTTP side: answers to plain requests. Routes are given; here is what an answer looks like."""

import email.utils
import re
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

SWITCHING = HTTPStatus.SWITCHING_PROTOCOLS
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")


def answer(
    status: HTTPStatus, body: bytes, content_type: str = TEXT, extra: dict[str, str] | None = None
) -> Response:
    """Build an answer after which the connection closes."""
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
    """Build an answer of one sentence for a person."""
    return answer(status, text.encode() + b"\n", TEXT, extra)


def not_found() -> Response:
    """There is no such path."""
    return sentence(HTTPStatus.NOT_FOUND, "There is nothing at this path.")


def wrong_method() -> Response:
    """Only GET is served."""
    return sentence(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is served here.", {"Allow": "GET"})


def too_large() -> Response:
    """The request head is over its limit."""
    return sentence(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request head is larger than 8 KiB."
    )


def too_many_attempts() -> Response:
    """An address knocks too often."""
    return sentence(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many connection attempts from this address; wait a second.",
        {"Retry-After": "1"},
    )


def internal_error() -> Response:
    """A fault of ours; what it is stands in the log, and nowhere else."""
    return sentence(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; try again.")


def foreign_origin() -> Response:
    """A page of an origin that may not connect."""
    return sentence(HTTPStatus.FORBIDDEN, "Pages of this origin may not connect here.")


def unauthorized() -> Response:
    """The request needs a token, and has none that is good for it."""
    return sentence(
        HTTPStatus.UNAUTHORIZED,
        "This needs a valid token: Authorization: Bearer TOKEN.",
        {"WWW-Authenticate": "Bearer"},
    )


def malformed(head: bytes) -> Response:
    """Say what is wrong with a head that did not parse."""
    line = _REQUEST_LINE.match(head)
    if line and line[1] != b"GET":
        return wrong_method()
    return sentence(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP/1.1 request.")


def bearer(request: Request) -> str | None:
    """Give the bearer token of the one Authorization header."""
    given = request.headers.get_all("Authorization")
    kind, _, token = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if kind.lower() == "bearer" else None


def token_of(request: Request) -> str | None:
    """Give the token that a request brings: as a bearer, else as `?token=`, for browsers."""
    query = request.path.partition("?")[2]
    return bearer(request) or next(iter(parse_qs(query).get("token", ())), None)


def is_upgrade(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket; whether it does so well is seen later."""
    return any("websocket" in value.lower() for value in request.headers.get_all("Upgrade"))
