"""A stream as the fold reads it, and the candles that it makes of one."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from percolator.model.kinds import Event, Price, Trade
from percolator.projections.candles import MINUTE_MS, Candle, CandleFold

NOON = 1_800_000_000_000 - 1_800_000_000_000 % MINUTE_MS
"""The start of some minute, in Unix milliseconds."""


class Message(NamedTuple):
    """A message of the stream, times in milliseconds after NOON. One without event is of no use."""

    stored: int
    slab: str = "SOL"
    price: float | None = None
    size: int | None = None
    """None for a price."""
    at: int | None = None
    """Its timestamp; None if that is the time at which it was stored."""

    @property
    def stored_ns(self) -> int:
        """When the stream stored it."""
        return (NOON + self.stored) * 1_000_000

    @property
    def event(self) -> Event | None:
        """What is in it."""
        timestamp = NOON + (self.stored if self.at is None else self.at)
        if self.price is None:
            return None
        if self.size is None:
            return Price(timestamp=timestamp, slab=self.slab, price=self.price)
        return Trade(
            timestamp=timestamp, slab=self.slab, side="long", size=str(self.size), price=self.price
        )


def price(stored: int, price: float, *, slab: str = "SOL", at: int | None = None) -> Message:
    """Return a price."""
    return Message(stored, slab, price, None, at)


def trade(
    stored: int, price: float, size: int = 1, *, slab: str = "SOL", at: int | None = None
) -> Message:
    """Return a trade."""
    return Message(stored, slab, price, size, at)


def nothing(stored: int) -> Message:
    """Return a message that makes no candles."""
    return Message(stored)


class Folding:
    """A fold, and the candles that it has finished."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as CandleFold has them
        self.minutes: list[list[Candle]] = []
        self.fold = CandleFold("e1", self.minutes.append, **options)
        self.seq = 0

    def read(self, messages: Iterable[Message]) -> "Folding":
        """Fold messages, each with the next seq."""
        for each in messages:
            self.seq += 1
            self.fold.add(self.seq, each.stored_ns, each.slab, each.event)
        return self

    @property
    def candles(self) -> list[dict[str, Any]]:
        """The finished candles, as they are written."""
        return [json.loads(each.payload) for minute in self.minutes for each in minute]


def candles_of(*messages: Message, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return what a fold makes of messages, once their minutes are over."""
    folding = Folding(**options).read(messages)
    folding.fold.advance(NOON + 100 * MINUTE_MS)
    return folding.candles
