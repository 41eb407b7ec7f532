"""The HTTP side: answers to plain requests. Routes are given; here is what an answer looks like."""

import email.utils
import re
from http import HTTPStatus

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


def malformed(head: bytes) -> Response:
    """Say what is wrong with a head that did not parse."""
    line = _REQUEST_LINE.match(head)
    if line and line[1] != b"GET":
        return wrong_method()
    return sentence(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP/1.1 request.")


def is_upgrade(request: Request) -> bool:
    """Tell whether a request asks for a WebSocket; whether it does so well is seen later."""
    return any("websocket" in value.lower() for value in request.headers.get_all("Upgrade"))
