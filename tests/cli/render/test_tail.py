"""Events and gaps as `percolator tail` shows them."""

from datetime import datetime
from typing import Any

import pytest

from percolator.client import Gap, Message, Update
from percolator.model.kinds import Funding, Price, Trade
from percolator_cli.render.tail import fields, line

AT = int(datetime(2024, 8, 8, 12, 34, 56, 789_000).astimezone().timestamp() * 1_000)


def update(event: Price | Trade | Funding, prev: int | None, *, snapshot: bool = False) -> Update:
    """Give an event as the client does."""
    channel = {"price": "price", "trade": "trades", "funding": "funding"}[event.type]
    return Update(f"{channel}:SOL", 123, prev, event, snapshot)


PRICE = update(Price(price=61_807.95, markPrice=61_800, timestamp=AT, slab="SOL"), None)
TRADE = update(Trade(side="long", size="1000000", price=1.5, timestamp=AT, slab="SOL"), 0)
FUNDING = update(Funding(rate="-0.0001", timestamp=AT, slab="SOL"), None, snapshot=True)
GAP = Gap("trades:SOL", 5, 9)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (PRICE, "12:34:56.789 price:SOL               123 61,807.95  mark 61,800"),
        (TRADE, "12:34:56.789 trades:SOL              123 long  1000000 at 1.5"),
        (FUNDING, "12:34:56.789 funding:SOL             123 rate -0.0001 (as it was)"),
        (GAP, "gap: what trades:SOL had after seq 5 and before 9 is lost"),
        (
            Gap("trades:SOL", 5, 1, "abc"),
            "gap: what trades:SOL had after seq 5 and before 1 is lost; the stream is a new one",
        ),
    ],
)
def test_each_is_a_line(message: Message, text: str) -> None:
    """With time, channel and seq."""
    assert line(message).plain == text


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (PRICE, {"type": "price", "channel": "price:SOL", "slab": "SOL", "price": 61_807.95}
         | {"markPrice": 61_800, "timestamp": AT, "seq": 123}),
        (TRADE, {"type": "trade", "channel": "trades:SOL", "slab": "SOL", "side": "long"}
         | {"size": "1000000", "price": 1.5, "timestamp": AT, "seq": 123, "prev": 0}),
        (FUNDING, {"type": "funding", "channel": "funding:SOL", "slab": "SOL", "rate": "-0.0001"}
         | {"timestamp": AT, "seq": 123, "prev": None, "snapshot": True}),
        (GAP, {"type": "gap", "channel": "trades:SOL", "from": 5, "to": 9}),
    ],
)  # fmt: skip
def test_each_is_an_object_for_scripts(message: Message, expected: dict[str, Any]) -> None:
    """As on the wire, and the channel."""
    assert fields(message) == expected
    assert next(iter(fields(message))) == "type"
