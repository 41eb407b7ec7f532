"""One client's WebSocket after the handshake: frames, messages and closing. No I/O."""

import codecs

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from percolator.model import closes

MAX_CLOSING_BYTES = 2_048
"""Bytes after our close frame in which the client's is looked for; the rest is not parsed."""
MAX_IGNORED_BYTES = 65_536
"""Bytes that may arrive after our close frame: a client that keeps sending is cut off."""
ABNORMAL = 1006
"""The code of a connection that ended without a close frame."""


class WebSocket:
    """The protocol object of `websockets`, and the message that is being assembled.

    Frames are validated by the protocol object, and whole messages are checked for UTF-8 here.
    """

    __slots__ = ("_decoder", "_fragments", "_ignored", "_protocol")

    def __init__(self, protocol: ServerProtocol) -> None:
        self._protocol = protocol
        self._decoder: codecs.IncrementalDecoder | None = None
        self._fragments: list[bytes] | None = None
        self._ignored = 0

    @property
    def is_open(self) -> bool:
        """True until either side has sent a close frame."""
        return self._protocol.state is OPEN

    @property
    def close_frame(self) -> Close | None:
        """The close frame that began the closing handshake, from either side."""
        ws = self._protocol
        return ws.close_rcvd if ws.close_rcvd_then_sent else (ws.close_sent or ws.close_rcvd)

    @property
    def close_code(self) -> int:
        """The code of that frame, 1006 if there was none."""
        frame = self.close_frame
        return int(frame.code) if frame else ABNORMAL

    @property
    def text(self) -> bool:
        """True if the newest message is text, False if it is binary."""
        return self._decoder is not None

    def receive(self, data: bytes) -> list[Frame]:
        """Parse bytes from the client and return their frames."""
        self._protocol.receive_data(data)
        return [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def output(self) -> list[bytes]:
        """Return the bytes to send; an empty one stands for the end of our side."""
        return self._protocol.data_to_send()

    def message(self, frame: Frame) -> bytes | None:
        """Return the message that a data frame completes, None if more frames follow.

        Raises UnicodeDecodeError as soon as a text message is not valid UTF-8.
        """
        data = bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        elif frame.opcode is Opcode.BINARY:
            self._decoder = None
        if self._decoder is not None:
            self._decoder.decode(data, frame.fin)
        if frame.fin and self._fragments is None:
            return data
        self._fragments = self._fragments or []
        self._fragments.append(data)
        if not frame.fin:
            return None
        whole, self._fragments = b"".join(self._fragments), None
        return whole

    def send_close(self, close: closes.Close) -> None:
        """Start the closing handshake, unless it has started."""
        if self.is_open:
            self._protocol.send_close(close.code, close.reason)

    def fail(self, close: closes.Close) -> None:
        """Close because of what the client sent: the rest of its data is discarded."""
        self._protocol.fail(close.code, close.reason)

    def ignore(self, data: bytes) -> bool:
        """Look for the client's close frame in what comes after ours; True once it is too much."""
        self._ignored += len(data)
        if self._ignored <= MAX_CLOSING_BYTES:
            self.receive(data)
        else:
            self._protocol.fail(closes.CLOSE_RATE.code)  # ends our side, and parses nothing more
        return self._ignored > MAX_IGNORED_BYTES
