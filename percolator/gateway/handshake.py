"""The opening handshake: from bytes to a request. No I/O; `connection` answers it."""

import logging

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

MAX_HEAD_BYTES = 8_192
HEAD_END = b"\r\n\r\n"
TLS_HANDSHAKE = b"\x16\x03"
"""The first bytes of a client that speaks TLS, to which no end of a head would follow."""

_LOGGER = logging.getLogger("percolator.websockets")
_LOGGER.setLevel(logging.ERROR)  # websockets logs each handshake at INFO, frames at DEBUG


class HeadTooLargeError(Exception):
    """The request head is larger than MAX_HEAD_BYTES."""


def head_length(data: bytes) -> int | None:
    """Return the length of the request head at the start of `data`, None while it is incomplete.

    TLS is all head, and malformed. Raises HeadTooLargeError.
    """
    if data.startswith(TLS_HANDSHAKE):
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
    protocol = ServerProtocol(max_size=max_message_bytes, logger=_LOGGER)
    protocol.receive_data(head)
    requests = protocol.events_received()
    if not requests or not isinstance(requests[0], Request):
        _forget_fault(protocol)
        return None
    return protocol, requests[0]


def accept(protocol: ServerProtocol, request: Request) -> Response:
    """Return the response to an upgrade: 101 if it is a valid one."""
    response = protocol.accept(request)
    _forget_fault(protocol)
    return response


def _forget_fault(protocol: ServerProtocol) -> None:
    """Free what the fault of a handshake keeps alive through its tracebacks: the connection."""
    fault: BaseException | None = protocol.handshake_exc
    while fault is not None:
        fault.__traceback__ = None
        fault = fault.__cause__ or fault.__context__
