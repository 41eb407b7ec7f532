"""Messages out of frames: put together from their fragments, a text checked as it comes in."""

import codecs

from websockets.frames import Frame, Opcode


class Messages:
    """The messages of one connection. The order of the frames has been checked already."""

    __slots__ = ("_decoder", "_fragments")

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        self._fragments: list[bytes] | None = None

    @property
    def text(self) -> bool:
        """True where the newest message is a text, and not binary."""
        return self._decoder is not None

    def add(self, frame: Frame) -> bytes | None:
        """Take a data frame; give the message that it completes, or None.

        Raises UnicodeDecodeError as soon as a text cannot be UTF-8 any more.
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
