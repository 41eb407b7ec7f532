"""The reference: the messages of a market, or of all, as bytes, in the order of first arrival.

Each message has an index. The reference maps byte positions to indexes, indexes to bytes, and seqs
to indexes.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from percolator.model.channel import ALL, Channel
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.plan import PUBLISHED

TRIM_BYTES = 4_000_000
"""Bytes that no reader needs any more are dropped once there are this many."""

UNKNOWN = -1
"""Represents a `prev` that is null or missing."""

_KINDS = {kind.name.encode(): kind for kind in PUBLISHED}
_EVENT = re.compile(
    rb'\{"type":"(' + b"|".join(_KINDS) + rb')","slab":"([A-Za-z0-9_-]{1,64})",[^{}]*'
    rb'"seq":(\d{1,15})(?:,"prev":(\d{1,15}|null))?(,"snapshot":true)?\}'
)
_NUMBERED = re.compile(rb'"(size|rate)":"([0-9.]{1,64})"')


class Event(NamedTuple):
    """The fields of an event's message that are checked. `prev` may be UNKNOWN."""

    channel: Channel
    seq: int
    prev: int
    snapshot: bool


def read_event(payload: bytes) -> Event | None:
    """Parse a message; returns None if it is not an event of a kind in PUBLISHED."""
    found = _EVENT.fullmatch(payload)
    if found is None:
        return None
    kind, slab, seq, prev, snapshot = found.groups()
    before = UNKNOWN if prev in (None, b"null") else int(prev)
    return Event(Channel(_KINDS[kind], slab.decode()), int(seq), before, snapshot is not None)


class Track:
    """The events of one channel: seqs in ascending order, each with its prev and its index."""

    def __init__(self) -> None:
        self.seqs = array("q")
        self.prevs = array("q")
        self.indexes = array("q")

    def add(self, event: Event, index: int) -> None:
        """Append the newest event."""
        self.seqs.append(event.seq)
        self.prevs.append(event.prev)
        self.indexes.append(index)

    def index_of(self, seq: int) -> int | None:
        """Return the index of a seq, or None if it is not there."""
        at = bisect_left(self.seqs, seq)
        return self.indexes[at] if at < len(self.seqs) and self.seqs[at] == seq else None

    def between(self, start: int, end: int) -> "array[int]":
        """Return the seqs at the indexes from `start` up to, not including, `end`."""
        return self.seqs[bisect_left(self.indexes, start) : bisect_left(self.indexes, end)]

    @property
    def last(self) -> int:
        """The newest seq, or 0 if there is none."""
        return self.seqs[-1] if self.seqs else 0


class Reference:
    """The reference of one market, or of all if `slab` is `*`.

    `sent_at` returns when an event was sent, given the field that holds its number and the field's
    value. It returns None for events that the load test did not send.
    """

    def __init__(
        self, slab: str, latency: Histogram, sent_at: Callable[[str, str], float | None]
    ) -> None:
        self.slab = slab
        self.data = bytearray()
        """The bytes from the position `base` on; earlier bytes were dropped."""
        self.base = 0
        self.ends = array("q", [0])
        """Byte positions: the start of each message, and the end of the last one."""
        self.tracks: defaultdict[Channel, Track] = defaultdict(Track)
        self.deliveries = 0
        """Messages delivered, over all clients."""
        self._latency = latency
        self._sent_at = sent_at
        self._timed = array("q", [0])
        """Per index: the number of earlier messages whose sending time is known."""
        self._run_starts = array("q", [0])
        """Indexes at which a run of messages sent at the same time starts."""
        self._run_times = array("d", [0.0])
        """The sending time of each run."""

    @property
    def count(self) -> int:
        """Number of messages."""
        return len(self.ends) - 1

    @property
    def end(self) -> int:
        """The byte position after the last message."""
        return self.ends[-1]

    def covers(self, channel: Channel) -> bool:
        """True if its clients follow this channel."""
        return self.slab in (ALL, channel.slab)

    def holds(self, data: bytes | memoryview, at: int) -> bool:
        """True if the reference has these bytes at a position."""
        return self.data.startswith(data, at - self.base)

    def slice(self, start: int, end: int) -> bytes:
        """Return the bytes between two positions."""
        return bytes(self.data[start - self.base : end - self.base])

    def frame(self, index: int) -> bytes:
        """Return the frame of the message at an index; empty if it was dropped."""
        start = self.ends[index]
        return self.slice(start, self.ends[index + 1]) if start >= self.base else b""

    def index_at(self, place: int) -> int:
        """Return the index of the message that contains or begins at a byte position."""
        return bisect_right(self.ends, place) - 1

    def index_of(self, event: Event) -> int | None:
        """Return the index of an event, or None if it is not there."""
        return self.tracks[event.channel].index_of(event.seq)

    def add(self, event: Event, frame: bytes) -> int | None:
        """Append a message and return its index; None if a newer one of its channel is there."""
        track = self.tracks[event.channel]
        if event.seq <= track.last:
            return None
        index = self.count
        track.add(event, index)
        self.data += frame
        self.ends.append(self.end + len(frame))
        sent = self._time_of(frame) if event.channel.kind.lossless else None
        self._timed.append(self._timed[-1] + (sent is not None))
        if sent is not None and sent != self._run_times[-1]:
            self._run_starts.append(index)
            self._run_times.append(sent)
        return index

    def delivered(self, start: int, end: int, now: float) -> None:
        """Record that a client received the messages from index `start` up to `end`."""
        self.deliveries += end - start
        run = bisect_right(self._run_starts, start) - 1
        while start < end:
            run += 1
            stop = self._run_starts[run] if run < len(self._run_starts) else end
            stop = min(stop, end)
            timed = self._timed[stop] - self._timed[start]
            if timed:
                self._latency.add(now - self._run_times[run - 1], timed)
            start = stop

    def trim(self, needed: int) -> None:
        """Drop the bytes before a position, if there are more than TRIM_BYTES."""
        if needed - self.base > TRIM_BYTES:
            del self.data[: needed - self.base]
            self.base = needed

    def _time_of(self, frame: bytes) -> float | None:
        found = _NUMBERED.search(frame)
        return self._sent_at(*(part.decode() for part in found.groups())) if found else None
