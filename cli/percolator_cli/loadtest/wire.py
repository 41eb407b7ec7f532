"""The client's side of WebSocket, as bytes: the upgrade, outgoing frames, and frame boundaries."""

import base64
import hashlib
import json
import os
import re
from typing import Any

from websockets.frames import Frame, Opcode

from percolator.client.address import GatewayAddress
from percolator.errors import MessageError
from percolator.model.server_messages import MAX_MESSAGE_BYTES

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
"""First bytes of the frames that a gateway sends, none of which is fragmented."""
_FIRST = frozenset({TEXT, CLOSE, PING, PONG})
_MASKED = 0x80

HEAD_END = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT, _MIDDLE, _LONG = 2, 4, 10
"""Sizes of a frame's header in bytes, by the size of its payload."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ?([^\r]*)\r\n")
_ACCEPT = re.compile(rb"\r\nsec-websocket-accept:[ \t]*([^\r \t]+)", re.IGNORECASE)


def upgrade(gateway: GatewayAddress, token: str | None = None) -> tuple[bytes, bytes]:
    """Return an upgrade request and the accept value expected in the response."""
    key = base64.b64encode(os.urandom(16))
    lines = [
        f"GET {gateway.target} HTTP/1.1",
        f"Host: {gateway.authority}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key.decode()}",
        *(f"{name}: {value}" for name, value in gateway.authorization(token).items()),
    ]
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - required by RFC 6455
    return "\r\n".join(lines).encode() + HEAD_END, accept


def refusal(head: bytes, accept: bytes) -> str | None:
    """Return why the response refuses the upgrade, or None if it accepts it."""
    status = _STATUS.match(head)
    if status is None:
        return "not HTTP"
    if status[1] != b"101":
        return f"HTTP {status[1].decode()}"
    found = _ACCEPT.search(head)
    return None if found is not None and found[1] == accept else "HTTP 101 for another request"


def message(fields: dict[str, Any]) -> bytes:
    """Return the frame of a message to the gateway."""
    return Frame(Opcode.TEXT, json.dumps(fields).encode()).serialize(mask=True)


def pong(payload: bytes) -> bytes:
    """Return the frame that answers a ping."""
    return Frame(Opcode.PONG, payload).serialize(mask=True)


def closing() -> bytes:
    """Return a close frame with code 1000."""
    return Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=True)


def frame_end(data: bytes, at: int) -> int:
    """Return the end of the frame that begins at `at`, or -1 if it is incomplete.

    Raises MessageError for a frame that no gateway sends: masked, fragmented, binary or too long.
    """
    there = len(data) - at
    if there < _SHORT:
        return -1
    length = data[at + 1]
    if data[at] not in _FIRST or length & _MASKED:
        raise MessageError("a frame of another form")
    if length < 126:  # noqa: PLR2004 - RFC 6455
        end = at + _SHORT + length
    elif length == 126:  # noqa: PLR2004
        end = at + _MIDDLE + int.from_bytes(data[at + 2 : at + 4]) if there >= _MIDDLE else -1
    else:
        end = at + _LONG + int.from_bytes(data[at + 2 : at + 10]) if there >= _LONG else -1
    if end - at > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message of more than {MAX_MESSAGE_BYTES:,} bytes")
    return end if end <= len(data) else -1


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a complete frame."""
    length = frame[1]
    head = _SHORT if length < 126 else _MIDDLE if length == 126 else _LONG  # noqa: PLR2004
    return frame[head:]
