"""Decodes what a server writes: text frames into JSON messages."""

import json
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]

TEXT, SHORT, MEDIUM = 0x81, 126, 127


def read_messages(data: bytes) -> list[Message]:
    """Return every message in `data`, which must consist of whole, unmasked text frames only."""
    return [json.loads(payload) for payload in payloads(data)]


def payloads(data: bytes) -> Iterator[bytes]:
    """Yield the payload of each frame."""
    at = 0
    while at < len(data):
        assert data[at] == TEXT, "a whole text frame with no extension"
        size, at = data[at + 1], at + 2
        if size >= SHORT:
            width = 2 if size < MEDIUM else 8
            size, at = int.from_bytes(data[at : at + width]), at + width
        assert at + size <= len(data), "a frame is cut off"
        yield data[at : at + size]
        at += size


def message(data: bytes) -> Message:
    """Return the only message in `data`."""
    (only,) = read_messages(data)
    return only
