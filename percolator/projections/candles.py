"""Candles: the fold of a stream's prices and trades into one candle per market and minute.

The fold knows only the stream: its events, in order, and when JetStream stored each. So whatever
reads the stream gets the same candles, to the byte, wherever it starts. docs/projections.md has the
rules.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from percolator.model.kinds import Event, Price, Trade

MINUTE_MS = 60_000
GRACE_MS = 2_000
"""Milliseconds after the end of a minute in which its events may still be stored."""
TYPE = "candle"
SUBJECT_PREFIX = f"percolator.{TYPE}."

PRICES, TRADES = "prices", "trades"
"""What a candle may be made of."""


class Candle(NamedTuple):
    """A finished candle: its market, the start of its minute in Unix milliseconds, its message."""

    slab: str
    start: int
    payload: bytes

    @property
    def subject(self) -> str:
        """The NATS subject that it is written to."""
        return f"{SUBJECT_PREFIX}{self.slab}"

    def as_partial(self) -> "Candle":
        """Return the same candle, as one whose minute may lack events."""
        fields = json.loads(self.payload)
        end = fields.pop("timestamp")
        return self._replace(payload=_encoded({**fields, "partial": True, "timestamp": end}))

    @property
    def message_id(self) -> str:
        """The same for each projector that writes this candle."""
        return f"{self.slab}:{self.start}"


class Written(NamedTuple):
    """What the fold needs to know of a market's last written candle."""

    start: int
    source: str
    last: int
    epoch: str


def read(payload: bytes, stored_ns: int) -> Written | None:
    """Read a message of the stream of candles; None if it is not a candle from before that time."""
    try:
        fields = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("type") != TYPE:
        return None
    start, source, last, epoch = (fields.get(name) for name in Written._fields)
    if type(start) is not int or type(last) is not int or not isinstance(epoch, str):
        return None
    if source not in (PRICES, TRADES) or start * 1_000_000 > stored_ns:
        return None
    return Written(start, source, last, epoch)


@dataclass(slots=True)
class _Open:
    """A candle whose minute is not finished yet."""

    source: str
    open: float
    high: float
    low: float
    close: float
    last: int
    partial: bool
    volume: int = 0
    trades: int = 0

    def add(self, price: float, seq: int) -> None:
        """Add the price of an event."""
        self.close, self.last = price, seq
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price


class CandleFold:
    """Folds one incarnation of a stream. The times that it is given only move its own forward."""

    def __init__(
        self,
        epoch: str,
        emit: Callable[[list[Candle]], None],
        *,
        traded: Iterable[str] = (),
        unsure_through: int = 0,
        interval_ms: int = MINUTE_MS,
    ) -> None:
        """`emit` gets the candles of each finished minute, in order of markets.

        `traded` are the markets that are known to have had a trade.
        A market's first event, if its seq is at most `unsure_through`, may not be the first one
        that the stream ever had of it.
        """
        self.seq = 0
        """The last seq that was read."""
        self.due: float = math.inf
        """When the first of the open minutes is finished, in Unix milliseconds of the stream."""
        self._epoch = epoch
        self._interval = interval_ms
        self._traded = set(traded)
        self._unsure_through = unsure_through
        self._now = 0
        self._minutes: dict[int, dict[str, _Open]] = {}
        self._seen: set[str] = set()
        self._doubts: dict[str, float] = {}
        """By market: minutes that began up to then may lack events."""
        self._emit = emit

    @property
    def epoch(self) -> str:
        """Identifies the incarnation that it folds."""
        return self._epoch

    def has_traded(self, slab: str) -> bool:
        """Return whether a market is known to have had a trade."""
        return slab in self._traded

    def advance(self, time_ms: int) -> None:
        """Finish the minutes that no event can come for, now that the stream has this time."""
        if time_ms > self._now:
            self._now = time_ms
            if time_ms >= self.due:
                self._finish()

    def add(self, seq: int, stored_ns: int, slab: str = "", event: Event | None = None) -> None:
        """Add the next message of the stream: a market's event, or one that makes no candles."""
        self.advance(stored_ns // 1_000_000)
        self.seq = seq
        if isinstance(event, Trade):
            self._settle(seq, slab)
            start = self._start_of(event)
            candle = self._minutes[start].get(slab) if start in self._minutes else None
            if candle is None or candle.source == PRICES:
                self._traded.add(slab)
                self._drop_prices(slab, start)
                candle = self._open(start, slab, event.price, TRADES)
            candle.add(event.price, seq)
            candle.volume += int(event.size)
            candle.trades += 1
        elif isinstance(event, Price) and slab not in self._traded:
            self._settle(seq, slab)
            start = self._start_of(event)
            candle = self._minutes[start].get(slab) if start in self._minutes else None
            if candle is None:
                candle = self._open(start, slab, event.price, PRICES)
            candle.add(event.price, seq)

    def record_gap(self, slab: str) -> None:
        """Note that the stream has dropped events of a market before they were read."""
        for candles in self._minutes.values():
            if slab in candles:
                candles[slab].partial = True
        self._doubts[slab] = math.inf

    def _start_of(self, event: Event) -> int:
        """Return the minute of an event that is stored now; a late one is in the present minute."""
        now, interval = self._now, self._interval
        at = min(event.timestamp, now)
        start = at - at % interval
        return start if now < start + interval + GRACE_MS else now - now % interval

    def _settle(self, seq: int, slab: str) -> None:
        """Limit a doubt about a market: what was lost before this event was stored before it."""
        if seq <= self._unsure_through and slab not in self._seen:
            self._seen.add(slab)
            self._doubts[slab] = self._now
        elif self._doubts and self._doubts.get(slab) == math.inf:
            self._doubts[slab] = self._now

    def _open(self, start: int, slab: str, price: float, source: str) -> _Open:
        partial = start <= self._doubts.get(slab, -1)
        candle = _Open(source, price, price, price, price, 0, partial)
        self._minutes.setdefault(start, {})[slab] = candle
        self.due = min(self.due, start + self._interval + GRACE_MS)
        return candle

    def _drop_prices(self, slab: str, start: int) -> None:
        """Drop a market's candles of prices from the minute of a trade on."""
        for minute, candles in self._minutes.items():
            if minute >= start and slab in candles and candles[slab].source == PRICES:
                del candles[slab]

    def _finish(self) -> None:
        """Finish the minutes that are over."""
        after = self._interval + GRACE_MS
        over = [start for start in sorted(self._minutes) if start + after <= self._now]
        finished = [list(self._candles(start, self._minutes.pop(start))) for start in over]
        self.due = min(self._minutes, default=math.inf) + after
        self._doubts = {slab: at for slab, at in self._doubts.items() if at + after > self._now}
        for candles in filter(None, finished):
            self._emit(candles)

    def _candles(self, start: int, minute: dict[str, _Open]) -> Iterator[Candle]:
        for slab, each in sorted(minute.items()):
            fields: dict[str, object] = {
                "type": TYPE,
                "slab": slab,
                "start": start,
                "open": each.open,
                "high": each.high,
                "low": each.low,
                "close": each.close,
                "volume": str(each.volume),
                "trades": each.trades,
                "source": each.source,
                "last": each.last,
                "epoch": self._epoch,
                **({"partial": True} if each.partial else {}),
                "timestamp": start + self._interval,
            }
            yield Candle(slab, start, _encoded(fields))


def _encoded(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
