"""What a channel log is: its entries, the questions that it answers, and what follows it.

A log answers one question: *what comes after this position?* Live delivery, snapshot, resume and
a slow client's catch-up are all that question, asked from different positions. There are two
logs, `LosslessLog` and `LatestLog`, and one of each for all markets; followers never ask which.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heapreplace
from itertools import filterfalse
from typing import NamedTuple

from percolator.model import messages
from percolator.model.channel import Channel
from percolator.model.kinds import Event
from percolator.stats import Stats

Position = int
"""How far a cursor has read: the log's own number, which only ever grows.

Below 0, the cursor is new and gets a snapshot first (see `start_position`).
"""


class Entry:
    """One event in a log. Its frames are made when first needed, and then shared.

    `order` orders the entries of all logs of a gateway; `seq` orders those of a lossless one.
    """

    __slots__ = ("_frame", "_snapshot", "event", "message", "order", "prev", "seq")

    def __init__(self, order: int, seq: int, prev: int | None, event: Event | None) -> None:
        self.order = order
        self.seq = seq
        self.prev = prev
        self.event = event
        """None for an entry that is not an event, such as a gap."""
        self.message: OutgoingMessage | None = None
        """What followers of a lossless log get; made for the first of them, and then shared."""
        self._frame: bytes | None = None
        self._snapshot: bytes | None = None

    @classmethod
    def of_frame(cls, order: int, seq: int, frame: bytes) -> "Entry":
        """Make an entry that is not an event."""
        entry = cls(order, seq, None, None)
        entry._frame = frame
        return entry

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

    def make_message(self, log: "Log", position: Position) -> "OutgoingMessage":
        """Make the message that followers of its log get, and keep it for the next of them."""
        self.message = OutgoingMessage(self.order, log, position, self.frame, self.event is None)
        return self.message


class OutgoingMessage(NamedTuple):
    """One message to a follower: its place among all, and the position that it leads to."""

    order: int
    log: "Log"
    position: int
    frame: bytes
    gap: bool = False
    channel: Channel | None = None
    """The channel of the event, if the log is one of all markets."""


class Log(ABC):
    """What followers ask: what comes after a position. It is of one channel, maybe a wildcard."""

    __slots__ = ("channel", "followers", "head")

    def __init__(self, channel: Channel, head: Position) -> None:
        self.channel = channel
        self.followers: dict[Follower, None] = {}
        self.head = head
        """The position of a cursor that has read everything."""

    @abstractmethod
    def after(self, position: Position) -> Iterator[OutgoingMessage]:
        """Yield what follows a position, with a gap first if some of it is gone.

        Each message is made when it is asked for. The log must not change meanwhile.
        """

    @abstractmethod
    def settled(self, position: Position) -> Position:
        """Return the position of a cursor that has had everything `after` this position."""

    @abstractmethod
    def is_ahead(self, position: Position, seq: int) -> bool:
        """True for a cursor that has read more elsewhere than a gateway that has read to `seq`."""


class ChannelLog(Log):
    """What this gateway still holds of one market's channel, as frames ready for the wire."""

    __slots__ = ("last_seq", "latest", "retired")

    def __init__(
        self, channel: Channel, head: Position, last_seq: int | None, retired: set[str]
    ) -> None:
        super().__init__(channel, head)
        self.retired = retired
        """The markets that are retired: they have no snapshots."""
        self.last_seq = last_seq
        """Seq of the channel's newest event; 0 if it has none, None if not known."""
        self.latest: Entry | None = None
        """The newest event: the state of the market."""

    @property
    def is_silent(self) -> bool:
        """True while its market is retired: then a cursor begins without a snapshot."""
        return self.channel.slab in self.retired

    # What the stream says.

    @abstractmethod
    def append(self, order: int, seq: int, event: Event) -> bool:
        """Add the channel's newest event. True if followers get something now."""

    @abstractmethod
    def seed(self, order: int, seq: int, event: Event) -> None:
        """Record the newest event from before the part of the stream that is read."""

    @abstractmethod
    def append_gap(self, order: int, before: int) -> bool:
        """Note that events before seq `before` may be lost. True if followers get a gap."""

    @abstractmethod
    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:
        """Drop everything: the stream was replaced, and is read after seq `floor`."""

    # Where a cursor begins.

    @property
    @abstractmethod
    def start_position(self) -> Position:
        """The position of a cursor that begins here and now."""

    @abstractmethod
    def position_before(self, count: int) -> Position:
        """Return the position of a cursor that first gets the last `count` events that are here."""

    # What the book asks.

    @property
    @abstractmethod
    def newest_seq(self) -> int:
        """The seq of the newest thing that it holds; 0 if it holds nothing."""

    @property
    @abstractmethod
    def is_blank(self) -> bool:
        """True if it holds nothing that cannot be made again."""


class Follower(ABC):
    """A set of positions in logs, and a way to write; a flush brings the positions forward."""

    __slots__ = ("catching_up", "positions", "queued", "sent_at")

    @property
    def apart(self) -> AbstractSet[Channel]:
        """Channels that it reads by themselves, and passes over in a log of all markets."""
        return frozenset()

    def __init__(self, positions: dict[Log, Position]) -> None:
        self.positions = positions
        self.queued = False
        """True while it waits in the hub's queue for its turn."""
        self.catching_up = False
        """True for a client that catches up: the feed does not wait for it."""
        self.sent_at = 0.0
        """When it was last sent something, on the clock."""

    @abstractmethod
    def turn_bytes(self, max_bytes: int) -> int:
        """Return how many bytes it may get in a turn, at most `max_bytes`; 0 if it gets none."""

    @abstractmethod
    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write some messages as one piece of data, and count them."""

    def follow(self) -> None:
        """Start receiving updates from its logs."""
        for log in self.positions:
            log.followers[self] = None

    def unfollow(self) -> None:
        """Stop receiving updates from its logs."""
        for log in self.positions:
            log.followers.pop(self, None)

    def collect(self, max_bytes: int) -> tuple[list[OutgoingMessage], bool]:
        """Collect what follows its positions, in order, about `max_bytes`, and move them there.

        The flag says that there is more. If there is any message, at least one is returned.
        """
        positions, apart = self.positions, self.apart
        heap: list[tuple[int, int, OutgoingMessage, Iterator[OutgoingMessage]]] = []
        """The next message of each log: by order, then as the logs were subscribed to."""
        for log, position in positions.items():
            if position != log.head:
                following = log.after(position)
                if apart:
                    following = filterfalse(lambda message: message.channel in apart, following)
                if message := next(following, None):
                    heap.append((message.order, len(heap), message, following))
                else:
                    positions[log] = log.settled(position)
        heapify(heap)
        outgoing: list[OutgoingMessage] = []
        size = 0
        while heap:
            _, number, message, following = heap[0]
            size += len(message.frame)
            if size > max_bytes and outgoing:
                return outgoing, True
            outgoing.append(message)
            log = message.log
            positions[log] = message.position
            if message := next(following, None):
                heapreplace(heap, (message.order, number, message, following))
            else:
                heappop(heap)
                positions[log] = log.settled(positions[log])  # also past what it passes over
        return outgoing, False
