"""The reference: the messages of one market in the order in which they first came, as bytes.

A message has an index, its place in the reference. What is asked here is where bytes end, what
stands at an index, and at which index a seq stands.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from percolator.model.kinds import KIND_OF_NAME, Kind
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.plan import PUBLISHED

TRIM_BYTES = 4_000_000
"""So much may be behind everybody before it is dropped."""

UNKNOWN = -1
"""Stands for a `prev` of null."""

_KINDS = {name.encode(): kind for name, kind in KIND_OF_NAME.items()}
_EVENT = re.compile(
    rb'\{"type":"(' + b"|".join(_KINDS) + rb')","slab":"[A-Za-z0-9_-]+",[^{}]*'
    rb'"seq":(\d+)(?:,"prev":(\d+|null))?(,"snapshot":true)?\}'
)
_NUMBERED = re.compile(rb'"(size|rate)":"([0-9.]+)"')


class Event(NamedTuple):
    """What is read of an event's message. `prev` is UNKNOWN where it is null or not there."""

    kind: Kind
    seq: int
    prev: int
    snapshot: bool


def read_event(payload: bytes) -> Event | None:
    """Read a message; None where it is no event."""
    found = _EVENT.fullmatch(payload)
    if found is None:
        return None
    kind, seq, prev, snapshot = found.groups()
    before = UNKNOWN if prev in (None, b"null") else int(prev)
    return Event(_KINDS[kind], int(seq), before, snapshot is not None)


class Track:
    """The events of one kind: their seqs in rising order, each with its prev and its index."""

    def __init__(self) -> None:
        self.seqs = array("q")
        self.prevs = array("q")
        self.indexes = array("q")

    def add(self, event: Event, index: int) -> None:
        """Add the newest."""
        self.seqs.append(event.seq)
        self.prevs.append(event.prev)
        self.indexes.append(index)

    def index_of(self, seq: int) -> int | None:
        """Find a seq."""
        at = bisect_left(self.seqs, seq)
        return self.indexes[at] if at < len(self.seqs) and self.seqs[at] == seq else None

    def between(self, start: int, end: int) -> "array[int]":
        """Give the seqs that stand from index `start` up to `end`."""
        return self.seqs[bisect_left(self.indexes, start) : bisect_left(self.indexes, end)]

    @property
    def last(self) -> int:
        """The newest seq; 0 where there is none."""
        return self.seqs[-1] if self.seqs else 0


class Reference:
    """One market. `sent_at` tells by its text when a numbered event was sent, None for others'."""

    def __init__(
        self, slab: str, latency: Histogram, sent_at: Callable[[str, str], float | None]
    ) -> None:
        self.slab = slab
        self.data = bytearray()
        """The newest of the bytes: what was before `base` is dropped."""
        self.base = 0
        self.ends = array("q", [0])
        """Where each message begins, and where the last one ends."""
        self.tracks = {kind: Track() for kind in PUBLISHED}
        self.deliveries = 0
        """Messages that clients were given, over all of them."""
        self._latency = latency
        self._sent_at = sent_at
        self._timed = array("q", [0])
        """How many messages before each have a time of sending."""
        self._run_starts = array("q", [0])
        """Indexes at which a run begins of messages that were sent at one time, and that time."""
        self._run_times = array("d", [0.0])

    @property
    def count(self) -> int:
        """How many messages it has."""
        return len(self.ends) - 1

    @property
    def end(self) -> int:
        """Where its bytes end."""
        return self.ends[-1]

    def holds(self, data: bytes | memoryview, at: int) -> bool:
        """Whether these bytes stand at a place."""
        return self.data.startswith(data, at - self.base)

    def slice(self, start: int, end: int) -> bytes:
        """Give the bytes between two places."""
        return bytes(self.data[start - self.base : end - self.base])

    def frame(self, index: int) -> bytes:
        """Give the message at an index, as it was framed; nothing where it was dropped."""
        start = self.ends[index]
        return self.slice(start, self.ends[index + 1]) if start >= self.base else b""

    def index_at(self, place: int) -> int:
        """Give the message that a place lies in, or begins at."""
        return bisect_right(self.ends, place) - 1

    def index_of(self, event: Event) -> int | None:
        """Find an event."""
        return self.tracks[event.kind].index_of(event.seq)

    def add(self, event: Event, frame: bytes) -> int | None:
        """Lay down a message; None where it is older than the newest of its kind."""
        track = self.tracks[event.kind]
        if event.seq <= track.last:
            return None
        index = self.count
        track.add(event, index)
        self.data += frame
        self.ends.append(self.end + len(frame))
        sent = self._time_of(frame) if event.kind.lossless else None
        self._timed.append(self._timed[-1] + (sent is not None))
        if sent is not None and sent != self._run_times[-1]:
            self._run_starts.append(index)
            self._run_times.append(sent)
        return index

    def delivered(self, start: int, end: int, now: float) -> None:
        """Take note that a client was given the messages from one index up to another."""
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
        """Drop what stands before a place, where that is much."""
        if needed - self.base > TRIM_BYTES:
            del self.data[: needed - self.base]
            self.base = needed

    def _time_of(self, frame: bytes) -> float | None:
        found = _NUMBERED.search(frame)
        return self._sent_at(*(part.decode() for part in found.groups())) if found else None
