"""The log of a lossless channel: its last events, and a gap for what is gone.

Positions only ever grow, also when the stream is replaced and its seqs start again.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from operator import attrgetter

from percolator.fanout.log import ChannelLog, Entry, OutgoingMessage, Position
from percolator.model import messages
from percolator.model.channel import Channel
from percolator.model.kinds import Event

EPOCH_STRIDE = 2**64
"""What a position grows by when the stream is replaced; a seq is less."""

_SEQ = attrgetter("seq")


class LosslessLog(ChannelLog):
    """The last events of a channel, complete after position `floor`.

    A position is a seq, plus an EPOCH_STRIDE for each stream before this one.
    """

    __slots__ = ("_base", "_capacity", "_entries", "_epoch", "floor")

    def __init__(
        self,
        channel: Channel,
        capacity: int,
        *,
        floor: int,
        last_seq: int | None,
        retired: set[str] | None = None,
    ) -> None:
        super().__init__(channel, floor, last_seq, set() if retired is None else retired)
        self.floor = floor
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._base = 0
        self._epoch: str | None = None

    def append(self, order: int, seq: int, event: Event) -> bool:
        """Add the channel's newest event."""
        self.push(Entry(order, seq, self.last_seq, event))
        self.latest = self._entries[-1]
        self.last_seq = seq
        return True

    def seed(self, order: int, seq: int, event: Event) -> None:
        """Record the newest event from before what is read of the stream; its prev is unknown."""
        self._entries.clear()
        self.floor = self.head = self._base + seq - 1
        self.last_seq = None
        self.append(order, seq, event)

    def append_gap(self, order: int, before: int) -> bool:
        """Note that events before seq `before` may be lost: a gap goes out in their place."""
        after = self.last_seq if self.last_seq is not None else self.head_seq
        frame = messages.gap(self.channel, after, before)
        self.push(Entry.of_frame(order, before - 1, frame))
        self.last_seq = None
        return True

    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:
        """Drop everything: the stream was replaced, and is read after seq `floor`."""
        self._epoch = epoch
        self._base += EPOCH_STRIDE
        self._entries.clear()
        self.floor = self.head = self._base + floor
        self.last_seq, self.latest = last_seq, None

    def push(self, entry: Entry) -> None:
        """Add an entry; the oldest one goes if there is no room."""
        if len(self._entries) == self._capacity:
            self.floor = self._base + self._entries.popleft().seq
        self._entries.append(entry)
        self.head = self._base + entry.seq

    def after(self, position: Position) -> Iterator[OutgoingMessage]:
        """Yield what follows a position, with a gap first if some of it is gone."""
        entries = self._entries
        if position < 0:
            position = ~position
            seq, snapshots = position - self._base, chain([self.latest], reversed(entries))
            found = next((one for one in snapshots if one and one.seq == seq), None)
            if found and not self.is_silent:  # it has not been dropped meanwhile
                yield OutgoingMessage(found.order, self, position, found.snapshot)
        if position < self.floor:
            yield self._missing(position)
        for index in range(self._index_after(position), len(entries)):
            yield self._message(entries[index])

    def _index_after(self, position: Position) -> int:
        return bisect_right(self._entries, position - self._base, key=_SEQ)

    def _message(self, entry: Entry) -> OutgoingMessage:
        return entry.message or entry.make_message(self, self._base + entry.seq)

    def _missing(self, position: int) -> OutgoingMessage:
        """Return the gap between a position and the oldest entry that is still here."""
        first = self._entries[0] if self._entries else None
        before = first.seq if first and first.event else self.floor - self._base + 1
        epoch = self._epoch if position < self._base else None
        frame = messages.gap(self.channel, position % EPOCH_STRIDE, before, epoch)
        return OutgoingMessage(first.order - 1 if first else 0, self, self.floor, frame, gap=True)

    def settled(self, position: Position) -> Position:
        """Return the head, or the position if it is ahead of this gateway."""
        return max(position, self.head)

    @property
    def start_position(self) -> Position:
        """The position of a cursor that begins here and now; some kinds begin with a snapshot."""
        if self.channel.kind.snapshot and self.latest is not None:
            return ~self.position_after(self.latest.seq)
        return self.head

    def position_after(self, seq: int) -> Position:
        """Return the position of a cursor that has everything up to `seq`; it may be ahead."""
        return self._base + seq

    def position_before(self, count: int) -> Position:
        """Return the position of a cursor that first gets the last `count` events that are here."""
        for number, entry in enumerate(reversed(self._entries)):
            if number == count or entry.event is None:  # new subscribers get no earlier gaps
                return self.position_after(entry.seq)
        return self.floor

    def is_ahead(self, position: Position, seq: int) -> bool:
        """True for a cursor that has read more elsewhere than a gateway that has read to `seq`."""
        return position > self.position_after(seq)

    def reaches(self, seq: int) -> bool:
        """True if it holds everything after `seq`."""
        return self._base + seq >= self.floor

    @property
    def head_seq(self) -> int:
        """The seq at the head."""
        return self.head - self._base

    @property
    def first_prev(self) -> int | None:
        """The prev of the oldest event here; None if it is not known."""
        return self._entries[0].prev if self._entries else self.last_seq

    def seqs_around(self, count: int) -> tuple[int, int]:
        """Return the seqs between which the last `count` entries begin; there must be more."""
        if not count:
            return self.head_seq, self.head_seq + 1
        before, first = list(islice(reversed(self._entries), count + 1))[-1:-3:-1]
        return before.seq, first.seq

    def count_after(self, position: int) -> int:
        """Count the entries after a position."""
        return len(self._entries) - self._index_after(position)

    @property
    def newest_seq(self) -> int:
        """The seq of the newest entry, an event or a gap; 0 if there is none."""
        return self._entries[-1].seq if self._entries else 0

    @property
    def is_blank(self) -> bool:
        """True if it holds nothing that cannot be made again."""
        return not self._entries
