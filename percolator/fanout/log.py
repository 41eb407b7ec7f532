"""Channel logs: what this gateway still holds of a channel, as frames ready for the wire.

A log answers one question: *what comes after this position?* Live delivery, snapshot, resume and
a slow client's catch-up are all that question, asked from different positions. Positions are the
log's own: they only ever grow, also when the stream is replaced and its seqs start again.
"""

from bisect import bisect_right
from collections import deque
from itertools import chain, islice, takewhile
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING

from percolator.fanout.entry import Entry, OutgoingMessage
from percolator.model import messages
from percolator.model.events import Event, Kind, channel_of

if TYPE_CHECKING:
    from percolator.fanout.followers import Follower


Position = int
"""How far a cursor has read; below 0, it is new and gets a snapshot (see `start_position`)."""


EPOCH_STRIDE = 2**64
"""What a position grows by when the stream is replaced; a seq is less."""


_POSITION = attrgetter("position")


class LosslessLog:
    """The last events of a `trades:` or `funding:` channel, complete after `floor`.

    A position is a seq, and a `EPOCH_STRIDE` for each stream before this one.
    """

    __slots__ = (
        "_base", "_capacity", "_entries", "_epoch", "channel", "floor", "followers", "head",
        "kind", "last_seq", "latest", "slab",
    )  # fmt: skip

    def __init__(
        self, kind: Kind, slab: str, capacity: int, *, floor: int, last_seq: int | None
    ) -> None:
        self.kind = kind
        self.slab = slab
        self.channel = channel_of(kind, slab)
        self.followers: dict[Follower, None] = {}
        self.floor = floor
        self.head = floor
        self.last_seq = last_seq
        """Seq of the channel's newest event; 0: it has none; None: not known."""
        self.latest: Entry | None = None
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._base = 0
        self._epoch: str | None = None

    def append(self, order: int, seq: int, event: Event) -> None:
        """Add the channel's newest event."""
        self._push(Entry(order, self._base + seq, seq, self.last_seq, event))
        self.latest = self._entries[-1]
        self.last_seq = seq

    def seed(self, order: int, seq: int, event: Event) -> None:
        """Take the newest event from before what is read of the stream; its prev is unknown."""
        self._entries.clear()
        self.floor = self.head = self._base + seq - 1
        self.last_seq = None
        self.append(order, seq, event)

    def append_gap(self, order: int, before: int) -> None:
        """Note that events before seq `before` may be lost: a gap goes out in their place."""
        after = self.last_seq if self.last_seq is not None else self.head_seq
        frame = messages.gap(self.channel, after, before)
        self._push(Entry.of_frame(order, self._base + before - 1, before - 1, frame))
        self.last_seq = None

    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:
        """Leave everything behind: the stream was replaced, and is read after seq `floor`."""
        self._epoch = epoch
        self._base += EPOCH_STRIDE
        self._entries.clear()
        self.floor = self.head = self._base + floor
        self.last_seq, self.latest = last_seq, None

    def _push(self, entry: Entry) -> None:
        if len(self._entries) == self._capacity:
            self.floor = self._entries.popleft().position
        self._entries.append(entry)
        self.head = entry.position

    def after(self, position: Position, most: float = inf) -> list[OutgoingMessage]:
        """Give what follows a position, with a gap first where it is no longer all here.

        No more events once they have `most` bytes together, but one where there is any.
        """
        outgoing = []
        if position < 0:
            position = ~position
            outgoing = self._snapshot(position)
        if position < self.floor:
            outgoing.append(self._missing(position))
        if position < self.head:
            size = 0
            count = len(self._entries) - bisect_right(self._entries, position, key=_POSITION)
            newest_first = list(islice(reversed(self._entries), count))  # most are near the head
            for entry in reversed(newest_first):
                if size >= most:
                    break
                message = entry.message or entry.make_message(self)
                size += len(message.frame)
                outgoing.append(message)
        return outgoing

    def _snapshot(self, position: int) -> list[OutgoingMessage]:
        """Give the event at a position as a snapshot, unless it has been let go meanwhile."""
        entries = chain([self.latest], reversed(self._entries))
        found = next((one for one in entries if one and one.position == position), None)
        return [OutgoingMessage(found.order, self, position, found.snapshot)] if found else []

    def _missing(self, position: int) -> OutgoingMessage:
        """Announce what lies between a position and the oldest entry that is still here."""
        first = self._entries[0] if self._entries else None
        before = first.seq if first and first.event else self.floor - self._base + 1
        epoch = self._epoch if position < self._base else None
        frame = messages.gap(self.channel, position % EPOCH_STRIDE, before, epoch)
        return OutgoingMessage(first.order - 1 if first else 0, self, self.floor, frame, gap=True)

    @property
    def start_position(self) -> Position:
        """Where a cursor stands that begins here and now; a funding rate is owed as a snapshot."""
        if self.kind == "funding" and self.latest is not None:
            return ~self.latest.position
        return self.head

    def position_after(self, seq: int) -> int:
        """Where a cursor stands that has all up to `seq`; it may be ahead of this gateway."""
        return self._base + seq

    def position_before(self, count: int) -> int:
        """Where a cursor stands that is owed the last `count` events, or as many as are here."""
        for number, entry in enumerate(reversed(self._entries)):
            if number == count or entry.event is None:  # nobody is owed a gap from before he came
                return entry.position
        return self.floor

    def reaches(self, seq: int) -> bool:
        """Tell whether it holds everything after `seq`."""
        return self._base + seq >= self.floor

    @property
    def head_seq(self) -> int:
        """The seq at the head."""
        return self.head - self._base

    @property
    def first_prev(self) -> int | None:
        """What the oldest event here says was before it; None where it does not know."""
        return self._entries[0].prev if self._entries else self.last_seq

    def seqs_around(self, count: int) -> tuple[int, int]:
        """Give the seqs between which the last `count` entries begin; there must be more."""
        if not count:
            return self.head_seq, self.head_seq + 1
        before, first = list(islice(reversed(self._entries), count + 1))[-1:-3:-1]
        return before.seq, first.seq

    def count_after(self, position: int) -> int:
        """How many entries follow a position."""
        return sum(
            1 for _ in takewhile(lambda one: one.position > position, reversed(self._entries))
        )

    @property
    def blank(self) -> bool:
        """True where it holds nothing that cannot be made anew."""
        return not self._entries


class LatestLog:
    """The newest price of a slab, and the newest that went out.

    One entry is all that a log needs which overwrites: that is what conflation is. A position
    counts the values that went out.
    """

    __slots__ = (
        "channel", "due", "followers", "head", "kind", "latest", "shown", "slab", "windowed",
    )  # fmt: skip

    def __init__(self, kind: Kind, slab: str) -> None:
        self.kind = kind
        self.slab = slab
        self.channel = channel_of(kind, slab)
        self.followers: dict[Follower, None] = {}
        self.head = 0
        self.latest: Entry | None = None
        """The newest value: the state of the market."""
        self.shown: Entry | None = None
        """The newest value that clients may see; the window may hold back a newer one."""
        self.due: float = 0.0
        """When the window ends, on the clock of the one who opened it."""
        self.windowed = False
        """True while it is open."""

    def append(self, order: int, seq: int, event: Event) -> None:
        """Overwrite the newest value. When it is shown is for the hub to say."""
        self.latest = Entry(order, 0, seq, None, event)

    def seed(self, order: int, seq: int, event: Event) -> None:
        """Take the newest value from before the part of the stream that is read."""
        self.append(order, seq, event)
        self.show(order)

    def show(self, order: int) -> bool:
        """Let clients see the newest value. False where they already have."""
        if self.shown is self.latest or self.latest is None:
            return False
        self.head += 1
        self.latest.order = order
        self.latest.position = self.head
        self.shown = self.latest
        return True

    def start_again(self, _epoch: str, *, floor: int, last_seq: int | None) -> None:  # noqa: ARG002 - as a lossless log
        """Leave the value behind: the stream was replaced."""
        self.latest = self.shown = None

    def after(self, position: Position, _most: float = inf) -> list[OutgoingMessage]:
        """Give the value that clients see, where the cursor has not had it."""
        shown = self.shown
        if shown is None or position == self.head:
            return []
        frame = shown.snapshot if position < 0 else shown.frame
        return [OutgoingMessage(shown.order, self, self.head, frame)]

    @property
    def start_position(self) -> Position:
        """Where a cursor stands that begins here and now: the newest price is a snapshot."""
        return -1

    @property
    def blank(self) -> bool:
        """True where it holds nothing that cannot be made anew."""
        return self.latest is None


ChannelLog = LosslessLog | LatestLog
