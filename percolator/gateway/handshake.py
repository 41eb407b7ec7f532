"""The opening handshake: from bytes to a request. No I/O; `connection` answers it."""

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from percolator.gateway import proxy_header, responses

MAX_HEAD_BYTES = 8_192
HEAD_END = b"\r\n\r\n"
NOT_HTTP = (b"\x16\x03", proxy_header.PREFIX, proxy_header.SIGNATURE)
"""The first bytes of TLS, and of a PROXY header: perhaps no end of a head would follow."""

SUBPROTOCOL = Subprotocol("percolator.v1")
"""What a client may offer in Sec-WebSocket-Protocol. It changes nothing else."""
NO_UPGRADE = (HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
"""The library's responses if a proxy drops `Connection: Upgrade`, or speaks HTTP/1.0."""

_ABSOLUTE = re.compile(r"(?:https?|wss?)://([^/?]+)(/?)(.*)", re.IGNORECASE)
_LOGGER = logging.getLogger("percolator.websockets")
_LOGGER.setLevel(logging.ERROR)  # websockets logs each handshake at INFO, frames at DEBUG


class _Protocol(ServerProtocol):
    """Chooses SUBPROTOCOL if it is offered, and otherwise none."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None


class HeadTooLargeError(Exception):
    """The request head is larger than MAX_HEAD_BYTES."""


def head_length(data: bytes) -> int | None:
    """Return the length of the request head at the start of `data`, None while it is incomplete.

    What is not HTTP is all head, and malformed. Raises HeadTooLargeError.
    """
    if data.startswith(NOT_HTTP):
        return len(data)
    end = data.find(HEAD_END)
    length = len(data) if end < 0 else end + len(HEAD_END)
    if length > MAX_HEAD_BYTES:
        raise HeadTooLargeError
    return None if end < 0 else length


def parse(head: bytes, max_message_bytes: int | None) -> tuple[ServerProtocol, Request] | None:
    """Parse a complete request head; None if it is malformed.

    The protocol object accepts or rejects the request, and then parses frames.
    """
    protocol = _Protocol(max_size=max_message_bytes, logger=_LOGGER)
    protocol.receive_data(head)
    requests = protocol.events_received()
    if not requests or not isinstance(requests[0], Request):
        _forget_fault(protocol)
        return None
    _make_origin_form(requests[0])
    return protocol, requests[0]


def _make_origin_form(request: Request) -> None:
    """Replace an absolute-form target by its path, and the Host header by its authority.

    RFC 9112, 3.2.2. More than one Host header stays: that request is refused if hosts are checked.
    """
    found = _ABSOLUTE.fullmatch(request.path)
    if found is None:
        return
    authority, _, rest = found.groups()
    request.path = f"/{rest}"
    if len(request.headers.get_all("Host")) <= 1:
        request.headers.pop("Host", None)
        request.headers["Host"] = authority


def accept(protocol: ServerProtocol, request: Request) -> Response:
    """Return the response to an upgrade: 101 if it is a valid one."""
    response = protocol.accept(request)
    _forget_fault(protocol)
    return responses.upgrade_required() if response.status_code in NO_UPGRADE else response


def _forget_fault(protocol: ServerProtocol) -> None:
    """Free what the fault of a handshake keeps alive through its tracebacks: the connection."""
    fault: BaseException | None = protocol.handshake_exc
    while fault is not None:
        fault.__traceback__ = None
        fault = fault.__cause__ or fault.__context__
