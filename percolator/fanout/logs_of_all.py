"""The logs of wildcard channels: the events of one kind of all markets, in the stream's order.

They hold nothing of their own: the entries are those of the markets' logs, so a frame is made once
for both. Of prices, a client starts here, with a snapshot of each market. Of a lossless kind, it
reads each market's log by itself until it has caught up, and passes over it here (see the reader).
"""

from collections.abc import Iterator
from itertools import takewhile

from percolator.fanout.log import ChannelLog, Entry, Log, OutgoingMessage, Position
from percolator.fanout.lossless_log import EPOCH_STRIDE, LosslessLog
from percolator.model.channel import Channel

CAPACITY_FACTOR = 10
"""How many times as many events a log of all markets holds as a log of one market."""


class LosslessOfAll(LosslessLog):
    """The last events of all markets; a gap in it is one of `trades:*`."""

    __slots__ = ()

    def __init__(self, channel: Channel, capacity: int, *, floor: int) -> None:
        super().__init__(channel, capacity * CAPACITY_FACTOR, floor=floor, last_seq=None)

    def add(self, log: ChannelLog) -> None:
        """Add the newest event of a market's log, unless it is from before the floor."""
        entry = log.latest
        assert entry is not None
        if self.position_after(entry.seq) > self.head:
            self.push(entry)

    def _message(self, entry: Entry) -> OutgoingMessage:
        position, event = self.position_after(entry.seq), entry.event
        if event is None:
            return OutgoingMessage(entry.order, self, position, entry.frame, gap=True)
        channel = Channel(self.channel.kind, event.slab)
        return OutgoingMessage(entry.order, self, position, entry.frame, channel=channel)

    def is_current(self, position: Position) -> bool:
        """True if a position is in the stream that is read now."""
        return position >= self._base


class LatestOfAll(Log):
    """The newest value of each market that clients may see, the one shown last at the end.

    A position is the order of a value: the newest that the cursor has had. Below 0, the cursor is
    at its start: it also says up to which order values are snapshots (see `_decoded`).
    """

    __slots__ = ("_shown", "retired")

    def __init__(self, channel: Channel, retired: set[str] | None = None) -> None:
        super().__init__(channel, 0)
        self.retired: set[str] = set() if retired is None else retired
        """The markets that are retired: they have no snapshots."""
        self._shown: dict[Channel, Entry] = {}

    def showed(self, channel: Channel, entry: Entry) -> None:
        """Note that a market's log shows another value."""
        self._shown.pop(channel, None)
        self._shown[channel] = entry
        self.head = entry.order

    def forget(self, channel: Channel) -> None:
        """Forget the value of a market."""
        self._shown.pop(channel, None)

    def after(self, position: Position) -> Iterator[OutgoingMessage]:
        """Yield the values that were shown after a position."""
        had, start = _decoded(position)
        values = reversed(self._shown.items())
        newer = list(takewhile(lambda value: value[1].order > had, values))
        for channel, entry in reversed(newer):
            order = entry.order
            if order > start:
                frame = entry.frame
            elif channel.slab not in self.retired:
                frame = entry.snapshot
            else:
                continue
            yield OutgoingMessage(order, self, _encoded(order, start), frame, channel=channel)

    @property
    def start_position(self) -> Position:
        """The position of a cursor that begins here and now, with a snapshot of each market."""
        return _encoded(0, self.head)

    def position_in(self, log: ChannelLog, position: Position) -> Position:
        """Return where a cursor that stands here goes on in the log of one market."""
        entry, (had, _) = self._shown.get(log.channel), _decoded(position)
        return log.head - (entry is not None and entry.order > had)

    def settled(self, position: Position) -> Position:  # noqa: ARG002 - as a lossless log
        """Return the head."""
        return self.head

    def is_ahead(self, position: Position, seq: int) -> bool:  # noqa: ARG002 - as a lossless log
        """Return False: the newest value is right for every cursor."""
        return False


def _encoded(had: int, start: int) -> Position:
    """Return the position of a cursor that has had some of what was shown when it began."""
    return had if had >= start else -1 - had - start * EPOCH_STRIDE


def _decoded(position: Position) -> tuple[int, int]:
    """Return what a cursor has had, and when it began; 0 if its start is over."""
    if position >= 0:
        return position, 0
    start, had = divmod(-1 - position, EPOCH_STRIDE)
    return had, start
