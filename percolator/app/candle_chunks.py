"""Chunks of candles: spans of time of one market and interval, read from the stream and kept.

The stream has a market's candles in order, so a chunk is *closed* once a later candle is known: it
can no longer change, and only its rows are kept, as JSON. The newest chunk is open: it is read on
from where it ends whenever the market has a newer candle.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

from pydantic_core import to_json

from percolator.app.row_cache import RowCache
from percolator.jetstream.direct import Stored
from percolator.jetstream.liveness import raise_if_cancelled
from percolator.jetstream.subject_history import SubjectHistory
from percolator.model.queries import INTERVALS
from percolator.projections.intervals import Minute, floor, fold, read

MIN_CHUNK_MS = INTERVALS["4h"]
"""Length of a chunk, or of its one row if that is longer: one request reads 240 minutes."""
LATE_MS = INTERVALS["5m"]
"""A candle that was stored this long after its minute was stored by a projector that was behind."""
CACHE_BYTES = 32 * 2**20
CHUNK_BYTES, ROW_BYTES, MINUTE_BYTES = 1_000, 150, 500
"""What a chunk, a row and a minute take in memory besides their text, about."""


class Key(NamedTuple):
    """A chunk: rows say which seqs are of the present epoch."""

    epoch: str
    slab: str
    interval: str
    start: int


@dataclass(slots=True)
class Chunk:
    """The candles of a span of time."""

    rows: list[tuple[int, bytes]] = field(default_factory=list)
    """The start of each row, and its JSON."""
    minutes: list[Minute] = field(default_factory=list)
    """What the rows are made of, while the chunk is open."""
    first_seq: int = 0
    """Seq of its first message; of the one that follows if it has none."""
    last: Stored | None = None
    """Its last message, while it is open."""
    previous: int | None = None
    """Start of the market's last minute before it; None if there is none, or it is not known."""
    following: int | None = None
    """Start of the market's first minute after it; None while it is open."""

    @property
    def closed(self) -> bool:
        """True if it can no longer change."""
        return self.following is not None

    @property
    def size(self) -> int:
        """The bytes that it takes, about."""
        texts = sum(len(row) + ROW_BYTES for _, row in self.rows)
        return CHUNK_BYTES + texts + MINUTE_BYTES * len(self.minutes)


class Chunks:
    """The chunks that are kept, and a lock for each one that is being read."""

    def __init__(self) -> None:
        self.kept: RowCache[Key, Chunk] = RowCache(CACHE_BYTES)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: Key) -> asyncio.Lock:
        """Return the lock of a chunk, so that two requests do not read it both."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock


class MarketCandles:
    """One market's candles of one interval, as one request sees them.

    Every method raises NatsUnreachableError.
    """

    def __init__(
        self,
        chunks: Chunks,
        history: SubjectHistory,
        charge: Callable[[int], Awaitable[None]],
        key: Key,
        newest: Stored,
    ) -> None:
        """`newest` is the market's newest message; the start in `key` does not matter."""
        self.interval = INTERVALS[key.interval]
        self.length = max(self.interval, MIN_CHUNK_MS)
        self.minutes_read = 0
        found = read(newest.payload)
        self.newest_start = found.start if found else 0
        self._chunks = chunks
        self._history = history
        self._charge = charge
        self._key = key
        self._newest = newest

    async def chunk(self, start: int) -> Chunk:
        """Return the chunk that starts at a time, up to the newest message at least."""
        key, kept = self._key._replace(start=start), self._chunks.kept
        found = kept.get(key)
        if found is not None and found.closed:
            return found
        async with self._chunks.lock(key):
            found = kept.get(key)  # another request may have read it meanwhile
            if found is None or not self._is_current(found):
                found = await self._read(start, found)
                kept.put(key, found, found.size)
        return found

    async def previous(self, start: int, chunk: Chunk) -> int | None:
        """Return the start of the market's last minute before a chunk, None if there is none."""
        if chunk.previous is None:
            before = await self._history.newest_before(chunk.first_seq)
            found = read(before.payload) if before else None
            chunk.previous = found.start if found and found.start < start else None
        return chunk.previous

    def _is_current(self, chunk: Chunk) -> bool:
        """Return whether a chunk has all that the stream had when the request came."""
        newest, last = self._newest, chunk.last
        return chunk.closed or (
            last is not None
            and (last.seq > newest.seq or (last.seq, last.time) == (newest.seq, newest.time))
        )

    async def _read(self, start: int, known: Chunk | None) -> Chunk:
        """Read a chunk, or what an open one lacks."""
        if known is None or known.last is None:
            chunk = Chunk(first_seq=await self._place(start))
            seq = chunk.first_seq
        elif (await self._next(known.last.seq))[:1] != [known.last]:
            return await self._read(start, None)  # the stream of candles was replaced
        else:
            chunk = Chunk(
                minutes=list(known.minutes),
                first_seq=known.first_seq,
                last=known.last,
                previous=known.previous,
            )
            seq = known.last.seq + 1
        while not chunk.closed and seq <= self._newest.seq:
            raise_if_cancelled()
            events = await self._next(seq)
            self._add(chunk, start, events)
            seq = events[-1].seq + 1 if events else self._newest.seq + 1
        self._fold(chunk, start)
        return chunk

    async def _next(self, seq: int) -> list[Stored]:
        """Return the first messages at a seq or later; if a replica lags, what the leader has."""
        events, _ = await self._history.at(seq)
        self.minutes_read += len(events)
        await self._charge(len(events))
        if not events and (later := await self._history.next_after(seq - 1)):
            events = [later]
        return events

    def _add(self, chunk: Chunk, start: int, events: list[Stored]) -> None:
        """Add messages to a chunk, up to the one that closes it."""
        for stored in events:
            minute = read(stored.payload)
            if minute is None or minute.start < start:
                continue
            if minute.start >= start + self.length:
                chunk.following = minute.start
                chunk.first_seq = chunk.first_seq if chunk.minutes else stored.seq
                return
            if not chunk.minutes:
                chunk.first_seq = stored.seq
            chunk.minutes.append(minute)
            chunk.last = stored

    def _fold(self, chunk: Chunk, start: int) -> None:
        """Make the rows of a chunk."""
        newest = chunk.minutes[-1].start if chunk.minutes else start
        rows = fold(chunk.minutes, self.interval, newest=chunk.following or newest)
        chunk.rows = [(row.start, to_json(row.fields(self._key.epoch))) for row in rows]
        if chunk.closed:
            chunk.minutes, chunk.last = [], None

    async def _place(self, start: int) -> int:
        """Return a seq shortly before the first candle of this time or later.

        A candle is stored after its minute. Those that a projector stored much later, since it had
        to catch up, are skipped by halving.
        """
        events, _ = await self._history.since(start, 1)
        if not events:
            return self._newest.seq
        first = read(events[0].payload)
        if first is None or first.start + LATE_MS >= start:
            return events[0].seq
        return await self._history.place_where(
            events[0].seq, self._newest.seq, partial(_is_from, floor(start, self.interval))
        )


def _is_from(start: int, stored: Stored) -> bool:
    """Return whether a message is a candle of a time or later."""
    minute = read(stored.payload)
    return minute is not None and minute.start >= start
