"""WebSocket: messages from frames, and which close frame counts."""

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from percolator.gateway.websocket import ABNORMAL, MAX_IGNORED_BYTES, WebSocket
from percolator.model import closes


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a frame as a client sends it."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


@pytest.fixture
def ws() -> WebSocket:
    """A WebSocket after its handshake."""
    return WebSocket(ServerProtocol(state=OPEN, max_size=4_096))


def assembled(ws: WebSocket, data: bytes) -> list[bytes | None]:
    """Return the messages that each frame completes."""
    return [ws.message(frame) for frame in ws.receive(data)]


def test_a_single_frame_is_a_message(ws: WebSocket) -> None:
    """The flag tells text from binary."""
    assert assembled(ws, masked(b"one")) == [b"one"]
    assert ws.text
    assert assembled(ws, masked(b"\xff", Opcode.BINARY)) == [b"\xff"]
    assert not ws.text


def test_fragments_are_joined_into_a_message(ws: WebSocket) -> None:
    """Even within a character, and over several reads."""
    euro = "€".encode()
    assert assembled(ws, masked(euro[:1], fin=False)) == [None]
    assert assembled(ws, masked(euro[1:2], Opcode.CONT, fin=False)) == [None]
    assert assembled(ws, masked(euro[2:], Opcode.CONT)) == [euro]
    assert ws.text


def test_invalid_utf8_is_found_in_its_first_fragment(ws: WebSocket) -> None:
    """The client need not finish the message."""
    with pytest.raises(UnicodeDecodeError):
        assembled(ws, masked(b"\xff", fin=False))


def test_the_close_frame_that_came_first_counts(ws: WebSocket) -> None:
    """Ours, if the client only answers it."""
    assert (ws.close_frame, ws.close_code) == (None, ABNORMAL)
    ws.send_close(closes.CLOSE_SHUTDOWN)
    assert not ws.is_open
    ws.receive(masked(Close(1000, "").serialize(), Opcode.CLOSE))
    assert ws.close_code == closes.CLOSE_SHUTDOWN.code


def test_the_close_frame_of_a_client_that_closes_counts(ws: WebSocket) -> None:
    """And ours does not follow it."""
    ws.receive(masked(Close(4000, "bye").serialize(), Opcode.CLOSE))
    ws.send_close(closes.CLOSE_SHUTDOWN)
    assert ws.close_frame == Close(4000, "bye")


def test_too_many_bytes_after_our_close_frame_are_noticed(ws: WebSocket) -> None:
    """So that a client that keeps sending can be cut off."""
    ws.send_close(closes.CLOSE_SHUTDOWN)
    assert not ws.ignore(bytes(MAX_IGNORED_BYTES))
    assert ws.ignore(b"x")
