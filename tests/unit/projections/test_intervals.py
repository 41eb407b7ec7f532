"""Candles of longer intervals, folded from those of minutes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.model.queries import INTERVALS, MINUTE_MS
from percolator.projections.intervals import Minute, Row, fold, read

HOUR = INTERVALS["1h"]
FIVE = INTERVALS["5m"]
LATER = 10**15


def minute(number: int, **fields: Any) -> Minute:  # noqa: ANN401 - any field of a candle
    """Make the candle of a minute, its usual fields overridden."""
    usual: dict[str, Any] = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": "10"}
    start = number * MINUTE_MS
    return Minute(**{**usual, "start": start, "trades": 2, "last": number, "epoch": "e", **fields})


def test_a_longer_candle_is_made_of_its_minutes() -> None:
    """Open of the first, close and last seq of the last, the volume exact."""
    big = "9" * 39
    minutes = [
        minute(0, open=5.0, high=9.0),
        minute(1, low=0.1, volume=big),
        minute(4, close=3.0, volume=big),
        minute(5),
    ]
    first, second = fold(minutes, FIVE, newest=LATER)
    assert first == Row(
        0, 5.0, 9.0, 0.1, 3.0, 2 * int(big) + 10, 6, "trades", 4, "e", partial=False, finished=True
    )
    assert (second.start, second.close, second.trades) == (FIVE, 1.5, 2)


def test_a_minute_is_its_own_candle() -> None:
    """With the fields of the wire; what is usual is left out."""
    (row,) = fold([minute(3)], MINUTE_MS, newest=3 * MINUTE_MS)
    assert row.fields("e") == {
        "start": 180_000,
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": 1.5,
        "volume": "10",
        "trades": 2,
        "source": "trades",
        "last": 3,
    }


@pytest.mark.parametrize(("newest", "finished"), [(1, False), (3, False), (4, True), (9, True)])
def test_a_candle_is_finished_with_its_last_minute_or_a_later_one(
    newest: int, *, finished: bool
) -> None:
    """Until then it says that it is not."""
    (row,) = fold([minute(1)], FIVE, newest=newest * MINUTE_MS)
    assert row.finished == finished
    assert row.fields("e").get("finished", True) == finished


def test_a_minute_that_may_lack_events_marks_its_candle() -> None:
    """Wherever in it the minute lies."""
    for minutes in ([minute(0, partial=True), minute(1)], [minute(0), minute(1, partial=True)]):
        (row,) = fold(minutes, FIVE, newest=LATER)
        assert row.fields("e")["partial"] is True


def test_trades_count_more_than_prices() -> None:
    """A candle is of prices only if each of its minutes is."""
    prices, trades = minute(0, source="prices"), minute(1, source="trades")
    assert [row.source for row in fold([prices, trades], FIVE, newest=LATER)] == ["trades"]
    assert [row.source for row in fold([prices], FIVE, newest=LATER)] == ["prices"]


def test_a_minute_counts_once_per_epoch() -> None:
    """Again, or from before, it is passed over; the other half of a replaced stream counts."""
    minutes = [minute(1), minute(1), minute(0), minute(1, epoch="f", last=1, close=7.0), minute(2)]
    (row,) = fold(minutes, FIVE, newest=LATER)
    assert (row.trades, row.volume, row.close) == (6, 30, 1.5)


def test_a_seq_of_another_epoch_is_not_shown() -> None:
    """It would be compared with seqs that count differently."""
    (row,) = fold([minute(1)], FIVE, newest=LATER)
    assert (row.fields("e")["last"], row.fields("f")["last"]) == (1, None)


@given(
    st.lists(st.integers(0, 3_000), unique=True, max_size=60).map(sorted),
    st.sampled_from(sorted(INTERVALS.values())),
)
def test_folding_in_steps_is_folding_at_once(numbers: list[int], interval: int) -> None:
    """Nothing is lost or counted twice, and each candle starts at a multiple of its interval."""
    minutes = [minute(number, volume=str(number)) for number in numbers]
    rows = fold(minutes, interval, newest=LATER)
    assert sum(row.volume for row in rows) == sum(numbers)
    assert [row.start for row in rows] == sorted({m.start // interval * interval for m in minutes})
    parts = [[m for m in minutes if m.start // interval == row.start // interval] for row in rows]
    assert rows == [row for part in parts for row in fold(part, interval, newest=LATER)]


def test_a_candle_is_read_from_its_message() -> None:
    """Fields that are not known are ignored."""
    fields = {
        "type": "candle",
        "slab": "SOL",
        "start": 60_000,
        "open": 1,
        "high": 2.5,
        "low": 1,
        "close": 2,
        "volume": "7",
        "trades": 3,
        "timestamp": 120_000,
    }
    found = read(json.dumps({**fields, "last": 9, "source": "prices"}).encode())
    assert found is not None
    assert (found.start, found.high, found.last, found.source) == (60_000, 2.5, 9, "prices")
    assert read(json.dumps({**fields, "seq": 9}).encode()) is not None
    for broken in (
        {**fields},
        {**fields, "last": 9, "type": "price"},
        {**fields, "last": 9, "start": 61_000},
        {**fields, "last": 9, "volume": "-1"},
        {**fields, "last": 9, "open": "1"},
    ):
        assert read(json.dumps(broken).encode()) is None
    assert read(b"not JSON") is None
    assert read(b"[]") is None
