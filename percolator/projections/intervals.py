"""Intervals: the candles of longer intervals, folded from those of minutes.

A candle of an interval starts at a multiple of it in UTC. What is read here comes from the stream
of candles: a message that is not one is passed over.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from percolator.model.kinds import MAX_TIMESTAMP
from percolator.model.queries import MINUTE_MS

Start = Annotated[int, Field(ge=0, le=MAX_TIMESTAMP, multiple_of=MINUTE_MS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Volume = Annotated[str, Field(pattern=r"^[0-9]{1,60}$")]
Count = Annotated[int, Field(ge=0, le=MAX_TIMESTAMP)]


@dataclass(config=ConfigDict(strict=True), frozen=True, slots=True, kw_only=True)
class Minute:
    """The candle of one minute. `last` is the seq of the last event in it, in `epoch`."""

    type: Literal["candle"] = "candle"
    start: Start
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Volume
    trades: Count
    last: Count = Field(validation_alias=AliasChoices("last", "seq"))
    epoch: str = ""
    source: Literal["trades", "prices"] = "trades"
    partial: bool = False


_MINUTE = TypeAdapter(Minute)


class Row(NamedTuple):
    """A candle of an interval, as clients get it."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int
    source: str
    last: int
    epoch: str
    partial: bool
    finished: bool

    def fields(self, epoch: str) -> dict[str, Any]:
        """Return its fields for clients; a seq counts only in the epoch that it belongs to."""
        fields: dict[str, Any] = {
            "start": self.start,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "close": self.close,
            "volume": str(self.volume),
            "trades": self.trades,
            "source": self.source,
            "last": self.last if self.epoch == epoch else None,
        }
        if self.partial:
            fields["partial"] = True
        if not self.finished:
            fields["finished"] = False
        return fields


def read(payload: bytes) -> Minute | None:
    """Read a message of the stream of candles; None if it is not a candle of a minute."""
    try:
        return _MINUTE.validate_json(payload)
    except ValidationError:
        return None


def fold(minutes: Iterable[Minute], interval_ms: int, *, newest: int) -> list[Row]:
    """Fold minutes, in the order of the stream, into the candles of an interval.

    `newest` is the start of the newest minute that the market has: a candle is finished if that is
    its last minute, or a later one.
    """
    rows: list[Row] = []
    for minute in _in_order(minutes):
        start = floor(minute.start, interval_ms)
        if rows and rows[-1].start == start:
            rows[-1] = _joined(rows[-1], minute)
        else:
            finished = newest + MINUTE_MS >= start + interval_ms
            rows.append(
                Row(
                    start,
                    minute.open,
                    minute.high,
                    minute.low,
                    minute.close,
                    int(minute.volume),
                    minute.trades,
                    minute.source,
                    minute.last,
                    minute.epoch,
                    minute.partial,
                    finished,
                )
            )
    return rows


def floor(time_ms: int, interval_ms: int) -> int:
    """Return the start of the interval that a time lies in."""
    return time_ms - time_ms % interval_ms


def _joined(row: Row, minute: Minute) -> Row:
    """Return a candle with the next minute in it; trades count more than prices."""
    return row._replace(
        high=max(row.high, minute.high),
        low=min(row.low, minute.low),
        close=minute.close,
        volume=row.volume + int(minute.volume),
        trades=row.trades + minute.trades,
        source="trades" if "trades" in (row.source, minute.source) else "prices",
        last=minute.last,
        epoch=minute.epoch,
        partial=row.partial or minute.partial,
    )


def _in_order(minutes: Iterable[Minute]) -> Iterator[Minute]:
    """Yield each minute once.

    A minute in which the stream of events was replaced has two candles, one of each epoch.
    """
    last = (-1, "")
    for minute in minutes:
        if minute.start > last[0] or (minute.start == last[0] and minute.epoch != last[1]):
            last = (minute.start, minute.epoch)
            yield minute
