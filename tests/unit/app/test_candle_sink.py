"""The projector's sink: what it passes on, and what it holds back while events may be missing."""

import json
from typing import Any

import pytest

from percolator.app.candle_sink import CandleSink, Place
from percolator.jetstream.direct import Stored
from percolator.jetstream.gaps import PAGE
from percolator.model import events
from percolator.projections.candles import Candle, Written
from tests.gateway import event_json

MINUTE = 60_000
NOON = 1_800_000_000_000 - 1_800_000_000_000 % MINUTE


class Reading:
    """A sink, and a stream that it reads."""

    def __init__(
        self, place: Place | None = None, *, complete: bool = True, after: int = 0
    ) -> None:
        self.minutes: list[list[Candle]] = []
        self.full = False
        self.sink = CandleSink(self.minutes.append, lambda: self.full, events.decode)
        self.sink.place = place or Place()
        self.seq = after
        self.sink.begin("e1.2.3", after, first_seq=after + 1, complete=complete)

    def take(self, minute: float, subject: str = "percolator.trade.SOL", **fields: object) -> int:
        """Read the next event, stored in a minute from NOON on."""
        now = NOON + int(minute * MINUTE)
        kind = subject.split(".")[1]
        body = event_json(kind, timestamp=now, **fields) if kind in ("trade", "price") else b"{}"
        return self.take_raw(now, subject, body)

    def take_raw(self, now: int, subject: str, body: bytes) -> int:
        """Read the next message."""
        self.seq += 1
        self.sink.take(Stored(self.seq, subject, body, now * 1_000_000))
        return self.seq

    @property
    def candles(self) -> list[dict[str, Any]]:
        """What was passed on."""
        return [json.loads(each.payload) for minute in self.minutes for each in minute]


def test_a_minute_is_passed_on_once_it_is_finished() -> None:
    """Its epoch is that of the stream's creation, also after the stream has gone back."""
    reading = Reading()
    reading.take(0, size="3")
    reading.sink.advance(NOON + 2 * MINUTE)
    assert [(each["volume"], each["epoch"]) for each in reading.candles] == [("3", "e1")]


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("percolator.trade.SOL", b"{}"),
        ("percolator.trade.a b", b"{}"),
        ("percolator.funding.SOL", b"{}"),
        ("percolator.other.SOL", b"{}"),
        ("other", b""),
    ],
)
def test_a_message_that_makes_no_candle_moves_the_time(subject: str, body: bytes) -> None:
    reading = Reading()
    reading.take(0)
    reading.take_raw(NOON + 2 * MINUTE, subject, body)
    assert len(reading.minutes) == 1
    assert (reading.sink.fold.seq, reading.sink.count) == (2, 2)


def test_minutes_before_the_place_are_not_passed_on() -> None:
    """They were written; and perhaps the sink has not read them from their beginning."""
    reading = Reading(Place(NOON + MINUTE))
    for minute in (0.5, 1, 2, 4):
        reading.take(minute)
    assert [each["start"] for each in reading.candles] == [NOON + MINUTE, NOON + 2 * MINUTE]


def test_a_market_whose_last_candle_is_of_trades_makes_none_of_prices() -> None:
    written = {"SOL": Written(NOON, "trades", 7, "e0"), "BTC": Written(NOON, "prices", 8, "e0")}
    reading = Reading(Place(NOON, written))
    reading.take(1, "percolator.price.SOL")
    reading.take(1, "percolator.price.BTC")
    reading.sink.advance(NOON + 3 * MINUTE)
    assert [each["slab"] for each in reading.candles] == ["BTC"]


def test_the_stream_is_asked_about_the_markets_of_the_last_minute_and_of_what_was_read() -> None:
    """Not about prices of a market that has traded."""
    written = {
        "SOL": Written(NOON, "trades", 7, "e1"),
        "BTC": Written(NOON, "prices", 8, "e1"),
        "OLD": Written(NOON - MINUTE, "trades", 3, "e1"),
        "ELSE": Written(NOON, "trades", 9, "e0"),
    }
    reading = Reading(Place(NOON, written), after=10)
    assert reading.sink.last_seqs() == {"percolator.trade.SOL": 7, "percolator.price.BTC": 8}
    reading.take(1, "percolator.price.SOL")
    reading.take(1, "percolator.trade.ETH")
    assert reading.sink.last_seqs() == {
        "percolator.trade.SOL": 7,
        "percolator.price.BTC": 8,
        "percolator.trade.ETH": 12,
    }


def test_the_first_candles_of_a_stream_without_its_beginning_are_partial() -> None:
    """Until what it held at that time was read."""
    reading = Reading(Place(stream_seq=12), complete=False, after=10)
    reading.take(0)
    reading.take(1)
    reading.take(1, "percolator.trade.NEW")
    reading.sink.advance(NOON + 3 * MINUTE)
    found = {(each["slab"], each["start"]): each.get("partial") for each in reading.candles}
    assert found == {
        ("SOL", NOON): True,
        ("SOL", NOON + MINUTE): None,
        ("NEW", NOON + MINUTE): None,
    }


def test_candles_wait_until_it_is_known_which_markets_have_lost_events() -> None:
    """The feed names a market only before its next event, or at the end of its page."""
    reading = Reading()
    reading.take(0)
    reading.take(0, "percolator.trade.BTC")
    reading.sink.record_gap(5, frozenset())
    reading.take(2, "percolator.trade.BTC")
    assert reading.minutes == []
    reading.sink.record_gap(6, frozenset({"percolator.trade.SOL", "percolator.trade.*"}))
    reading.sink.settle()
    found = {each["slab"]: each.get("partial") for each in reading.candles}
    assert found == {"SOL": True, "BTC": None}
    assert reading.sink.fold.seq == 5


def test_candles_wait_for_no_more_than_a_page() -> None:
    reading = Reading()
    reading.take(0)
    reading.sink.record_gap(5, frozenset())
    reading.take(2)
    for _ in range(PAGE - 1):
        reading.take(2)
    assert reading.minutes == []
    reading.take(4)
    reading.take(4)
    assert [each["start"] for each in reading.candles] == [NOON, NOON + 2 * MINUTE]


@pytest.mark.parametrize(
    ("lost", "is_partial"),
    [
        ("percolator.trade.SOL", True),
        ("percolator.price.SOL", None),
        ("percolator.funding.SOL", None),
        ("percolator.trade.*", None),
        ("percolator.trade.BTC", None),
    ],
)
def test_only_a_loss_that_a_candle_would_have_is_marked(lost: str, is_partial: bool | None) -> None:  # noqa: FBT001
    """Not that of prices in a market that trades."""
    reading = Reading()
    reading.take(0)
    reading.sink.record_gap(2, frozenset({lost}))
    reading.sink.advance(NOON + 3 * MINUTE)
    assert [each.get("partial") for each in reading.candles] == [is_partial]


def test_lost_prices_of_a_market_without_trades_make_its_candle_partial() -> None:
    reading = Reading()
    reading.take(0, "percolator.price.SOL")
    reading.sink.record_gap(2, frozenset({"percolator.price.SOL"}))
    reading.sink.advance(NOON + 3 * MINUTE)
    assert [each.get("partial") for each in reading.candles] == [True]


def test_the_sink_is_full_when_the_writer_is() -> None:
    reading = Reading()
    assert not reading.sink.full
    reading.full = True
    assert reading.sink.full


def test_a_seed_is_ignored() -> None:
    reading = Reading()
    reading.sink.seed(Stored(1, "percolator.trade.SOL", b"{}", 0))
    assert reading.sink.last_seqs() == {}
