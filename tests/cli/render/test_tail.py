"""Events and gaps as `percolator tail` shows them."""

from datetime import datetime
from typing import Any

import pytest

from percolator.client import Gap, Message, Refused, Update
from percolator.model.kinds import Funding, Price, Trade
from percolator_cli.render.tail import fields, line
from tests.channels import decode

AT = int(datetime(2024, 8, 8, 12, 34, 56, 789_000).astimezone().timestamp() * 1_000)


def update(event: Price | Trade | Funding, prev: int | None, *, snapshot: bool = False) -> Update:
    """Return an event as the client yields it."""
    channel = {"price": "price", "trade": "trades", "funding": "funding"}[event.type]
    return Update(f"{channel}:SOL", 123, prev, event, snapshot)


PRICE = update(Price(price=61_807.95, markPrice=61_800, timestamp=AT, slab="SOL"), None)
TRADE = update(Trade(side="long", size="1000000", price=1.5, timestamp=AT, slab="SOL"), 0)
FUNDING = update(Funding(rate="-0.0001", timestamp=AT, slab="SOL"), None, snapshot=True)
GAP = Gap("trades:SOL", 5, 9)
REFUSED = Refused("trades:SOL", "slab_limit", "the market is full")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (PRICE, "12:34:56.789 price:SOL               123 61,807.95  mark 61,800"),
        (TRADE, "12:34:56.789 trades:SOL              123 long  1000000 at 1.5"),
        (FUNDING, "12:34:56.789 funding:SOL             123 rate -0.0001 (snapshot)"),
        (GAP, "gap: missing trades:SOL events between seq 5 and 9"),
        (REFUSED, "refused: trades:SOL: the market is full; asking again"),
        (
            Gap("trades:SOL", 5, 1, "abc"),
            "gap: missing trades:SOL events between seq 5 and 1; the stream was recreated",
        ),
    ],
)
def test_line_shows_each_message_as_one_line(message: Message, text: str) -> None:
    """An event's line has its time, channel and seq."""
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
        (REFUSED, {"type": "error", "channel": "trades:SOL", "code": "slab_limit"}
         | {"message": "the market is full"}),
    ],
)  # fmt: skip
def test_fields_returns_each_message_as_one_object(
    message: Message, expected: dict[str, Any]
) -> None:
    """The fields are those of the wire format, and the channel."""
    assert fields(message) == expected
    assert next(iter(fields(message))) == "type"


def test_what_a_publisher_added_is_in_the_object_and_not_in_the_line() -> None:
    """After the fields of ours, and with its integers in full."""
    text = b'{"rate":"1","timestamp":1750000000000,"id":"\\u001b[2J","slot":18446744073709551615}'
    event = decode("percolator.funding.SOL", text)
    message = Update("funding:SOL", 5, 0, event, snapshot=False)
    assert list(fields(message).items())[-2:] == [("id", "\x1b[2J"), ("slot", 2**64 - 1)]
    assert "slot" not in line(message).plain
    assert line(message).plain.isprintable()


def test_the_optional_fields_are_written_for_people() -> None:
    """With their units."""
    event = Funding(rate="1", intervalHours=8, nextFundingTime=AT, timestamp=AT, slab="SOL")
    text = line(Update("funding:SOL", 5, 0, event, snapshot=False)).plain
    assert text.endswith("rate 1  per 8 h  next 12:34:56.789")
    price = Price(price=1.5, openInterest="5", timestamp=AT, slab="SOL")
    text = line(Update("price:SOL", 5, None, price, snapshot=False)).plain
    assert text.endswith("1.5  open interest 5")
