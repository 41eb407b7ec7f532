"""The projector's sink: what its feed reads goes into the fold, and what is finished to the writer.

While the feed reads over missing seqs, it reports which markets may have lost events only up to a
page later. Candles that are finished meanwhile are held back until that is known.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from percolator.errors import EventError
from percolator.jetstream.direct import Stored
from percolator.jetstream.gaps import PAGE
from percolator.model.channel import Channel
from percolator.model.events import Decode
from percolator.model.kinds import PRICE, TRADE
from percolator.projections.candles import MINUTE_MS, PRICES, TRADES, Candle, CandleFold, Written

KIND_OF_SOURCE = {TRADES: TRADE, PRICES: PRICE}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a projector goes on: what the candles that were written say."""

    start: int = 0
    """The last minute that was written, perhaps not for all markets; earlier ones are complete."""
    written: dict[str, Written] = field(default_factory=dict)
    """The last candle of each market."""
    stream_seq: int = 0
    """The last seq of the stream at that time."""


class CandleSink:
    """Folds what the feed reads."""

    def __init__(
        self,
        emit: Callable[[list[Candle]], None],
        full: Callable[[], bool],
        decode: Decode,
        *,
        interval_ms: int = MINUTE_MS,
    ) -> None:
        """`emit` gets the candles of each finished minute, in order; `full` makes the feed wait."""
        self.place = Place()
        """Where the next incarnation begins; set it before."""
        self.fold = CandleFold("", self._finished)
        self.count = 0
        """Messages that were read."""
        self._emit = emit
        self._full = full
        self._decode = decode
        self._interval_ms = interval_ms
        self._last: dict[str, int] = {}
        self._hold_until = 0
        self._held: deque[tuple[int, list[Candle]]] = deque()

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start a new fold. A stream that has gone back keeps the epoch of its creation."""
        created, place = epoch.partition(".")[0], self.place
        dropped = after < first_seq and not complete
        self.settle()
        self.fold = CandleFold(
            created,
            self._finished,
            traded=[slab for slab, each in place.written.items() if each.source == TRADES],
            unsure_through=place.stream_seq if dropped else 0,
            interval_ms=self._interval_ms,
        )
        self.fold.seq = after
        # Of these markets the stream can show that it has dropped nothing since.
        self._last = {
            Channel(KIND_OF_SOURCE[each.source], slab).subject: each.last
            for slab, each in place.written.items()
            if (each.start, each.epoch) == (place.start, created) and place.start
        }

    def seed(self, stored: Stored) -> None:
        """Ignore it: a projector starts with events, not with a state."""

    def take(self, stored: Stored) -> None:
        """Fold the next event; one that is not valid only moves the time."""
        event, slab = None, ""
        self.count += 1
        try:
            channel = Channel.of_subject(stored.subject)
            if channel is not None and (channel.kind is TRADE or channel.kind is PRICE):
                self._last[stored.subject] = stored.seq
                slab = channel.slab
                event = self._decode(channel, stored.payload, stored.ms)
        except EventError:
            pass  # gateways count and report it
        self.fold.add(stored.seq, stored.time, slab, event)
        if self._held:
            self._release(self.count)

    def skip(self, seq: int) -> None:
        """Pass the seq of a message that no publisher sent."""
        self.fold.seq = max(self.fold.seq, seq)

    def advance(self, time_ms: int) -> None:
        """Note that the stream has reached a time without a further event."""
        self.fold.advance(time_ms)

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Mark the candles of markets that may have lost events."""
        if not subjects:
            self._hold_until = self.count + PAGE
        slabs = set(filter(None, map(self._affected, subjects)))
        for slab in slabs:
            self.fold.record_gap(slab)
        for at, (due, candles) in enumerate(self._held):
            marked = [each.as_partial() if each.slab in slabs else each for each in candles]
            self._held[at] = due, marked
        self.fold.seq = max(self.fold.seq, before - 1)

    @property
    def full(self) -> bool:
        """True while the writer has enough to do."""
        return self._full()

    def last_seqs(self) -> dict[str, int]:
        """Return the newest seq of each subject that makes candles."""
        return {
            subject: seq
            for subject, seq in self._last.items()
            if (channel := Channel.of_subject(subject)) is not None
            and not (channel.kind is PRICE and self.fold.has_traded(channel.slab))
        }

    def settle(self) -> None:
        """Hold nothing back: all that may be missing has been reported."""
        self._hold_until = 0
        while self._held:
            self._emit(self._held.popleft()[1])

    def _affected(self, subject: str) -> str | None:
        """Return the market whose candles lack what a subject has lost, if any."""
        kind, _, slab = subject.rpartition(".")
        if slab == "*" or kind not in ("percolator.trade", "percolator.price"):
            return None
        priced = kind == "percolator.price"
        return None if priced and self.fold.has_traded(slab) else slab

    def _finished(self, candles: list[Candle]) -> None:
        if candles[0].start < self.place.start:
            return  # written before, and perhaps not read from its beginning now
        if self.count < self._hold_until or self._held:
            due = self.count + PAGE if self.count < self._hold_until else self.count
            self._held.append((due, candles))
        else:
            self._emit(candles)

    def _release(self, count: int) -> None:
        while self._held and self._held[0][0] <= count:
            self._emit(self._held.popleft()[1])
