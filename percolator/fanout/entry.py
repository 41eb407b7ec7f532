"""Entries of a channel log, and the outgoing that its followers are owed of them."""

from typing import TYPE_CHECKING, NamedTuple

from percolator.model import messages
from percolator.model.events import Event

if TYPE_CHECKING:
    from percolator.fanout.log import ChannelLog, LosslessLog


class Entry:
    """One event in a log; its frames are made when somebody first needs them, and then shared.

    `order` orders the entries of all logs of a gateway; `position` those of this one.
    """

    __slots__ = ("_frame", "_snapshot", "event", "message", "order", "position", "prev", "seq")

    def __init__(
        self, order: int, position: int, seq: int, prev: int | None, event: Event | None
    ) -> None:
        self.order = order
        self.position = position
        self.seq = seq
        self.prev = prev
        self.event = event
        self.message: OutgoingMessage | None = None
        """What a follower of a lossless log is owed; made when the first is, and then shared."""
        self._frame: bytes | None = None
        self._snapshot: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The live message."""
        if self._frame is None:
            assert self.event is not None
            self._frame = messages.event_message(self.event, self.seq, self.prev)
        return self._frame

    @property
    def snapshot(self) -> bytes:
        """The same with `"snapshot":true`."""
        if self._snapshot is None:
            assert self.event is not None
            self._snapshot = messages.event_message(self.event, self.seq, self.prev, snapshot=True)
        return self._snapshot

    def make_message(self, log: "LosslessLog") -> "OutgoingMessage":
        """Make the message that followers of its log get."""
        self.message = OutgoingMessage(
            self.order, log, self.position, self.frame, self.event is None
        )
        return self.message

    @classmethod
    def of_frame(cls, order: int, position: int, seq: int, frame: bytes) -> "Entry":
        """Make an entry that is no event, such as a gap."""
        entry = cls(order, position, seq, None, None)
        entry._frame = frame
        return entry


class OutgoingMessage(NamedTuple):
    """One message that a follower is owed: its place among all, and the position it leads to."""

    order: int
    log: "ChannelLog"
    position: int
    frame: bytes
    gap: bool = False
