"""Candles: which events make them, which minute an event is in, and when a minute is finished."""

import json

import pytest

from percolator.model.decimals import MAX_SIZE
from percolator.projections.candles import GRACE_MS, MINUTE_MS, Candle, Written, read
from tests.unit.projections.folding import NOON, Folding, candles_of, nothing, price, trade

END = MINUTE_MS


def test_trades_make_a_candle() -> None:
    """In the order of the stream, whatever their timestamps."""
    found = candles_of(
        trade(0, 2.0, 5), trade(10, 4.5, 6), trade(20, 1.0, 7), trade(30, 3.0, 8, at=5)
    )
    assert found == [
        {
            "type": "candle",
            "slab": "SOL",
            "start": NOON,
            "open": 2.0,
            "high": 4.5,
            "low": 1.0,
            "close": 3.0,
            "volume": "26",
            "trades": 4,
            "source": "trades",
            "last": 4,
            "epoch": "e1",
            "timestamp": NOON + MINUTE_MS,
        }
    ]


def test_the_volume_is_exact_however_large() -> None:
    [found] = candles_of(trade(0, 1.0, MAX_SIZE), trade(1, 1.0, MAX_SIZE), trade(2, 1.0, 1))
    assert found["volume"] == str(2 * MAX_SIZE + 1)


def test_prices_make_the_candles_of_a_market_that_has_had_no_trade() -> None:
    [found] = candles_of(price(0, 2.0), price(10, 3.0), price(20, 1.5))
    assert (found["open"], found["high"], found["low"], found["close"]) == (2.0, 3.0, 1.5, 1.5)
    assert (found["volume"], found["trades"], found["source"]) == ("0", 0, "prices")
    assert found["last"] == 3


def test_prices_make_no_candles_after_a_trade() -> None:
    """In later minutes neither."""
    found = candles_of(trade(0, 2.0), price(10, 9.0), price(END + 10, 9.0))
    assert [(each["start"], each["high"]) for each in found] == [(NOON, 2.0)]


def test_prices_of_a_market_that_is_known_to_have_traded_make_no_candles() -> None:
    assert candles_of(price(0, 2.0), traded=["SOL"]) == []


def test_a_first_trade_takes_the_place_of_the_prices_of_its_minute() -> None:
    [found] = candles_of(price(0, 9.0), trade(10, 2.0, 3), price(20, 9.0))
    assert (found["open"], found["high"], found["volume"], found["last"]) == (2.0, 2.0, "3", 2)


def test_a_first_trade_leaves_the_prices_of_the_minute_before_it() -> None:
    found = candles_of(price(END - 10, 9.0), trade(END + 10, 2.0))
    assert [(each["start"] - NOON, each["source"]) for each in found] == [
        (0, "prices"),
        (END, "trades"),
    ]


def test_a_trade_in_the_grace_of_its_minute_drops_the_prices_of_the_next_one() -> None:
    """A projector that starts after the first minute knows of the trade, and counts none."""
    found = candles_of(price(END + 100, 9.0), trade(END + 200, 2.0, at=END - 1))
    assert [(each["start"] - NOON, each["source"]) for each in found] == [(0, "trades")]


def test_a_later_trade_of_an_earlier_minute_takes_the_place_of_its_prices() -> None:
    found = candles_of(price(END - 10, 9.0), trade(END + 10, 2.0), trade(END + 20, 3.0, at=END - 5))
    assert [(each["close"], each["source"]) for each in found] == [(3.0, "trades"), (2.0, "trades")]


def test_markets_have_candles_of_their_own_in_order_of_their_names() -> None:
    found = candles_of(trade(0, 2.0, slab="SOL"), price(1, 3.0, slab="BTC"))
    assert [(each["slab"], each["source"]) for each in found] == [
        ("BTC", "prices"),
        ("SOL", "trades"),
    ]


def test_a_minute_without_events_has_no_candle() -> None:
    found = candles_of(trade(0, 2.0), nothing(END + 5), trade(3 * END, 2.0))
    assert [each["start"] - NOON for each in found] == [0, 3 * END]


@pytest.mark.parametrize(
    ("stored", "at", "start"),
    [
        (END - 1, END - 1, 0),
        (END, END, END),
        (END - 1, END + 50_000, 0),  # a timestamp that is ahead
        (END + GRACE_MS - 1, END - 1, 0),
        (END + GRACE_MS, END - 1, END),  # late: it is in the minute in which it was stored
        (5 * END + 7, 3, 5 * END),
        (END + 1, -10 * END, END),
    ],
)
def test_the_minute_of_an_event(stored: int, at: int, start: int) -> None:
    """By the earlier of its timestamp and the time at which it was stored."""
    [found] = candles_of(trade(stored, 1.0, at=at))
    assert found["start"] - NOON == start


def test_a_minute_is_finished_once_the_stream_is_past_its_grace() -> None:
    """By any message, or by the stream's time."""
    folding = Folding().read([trade(0, 1.0), nothing(END + GRACE_MS - 1)])
    assert folding.fold.due == NOON + END + GRACE_MS
    assert folding.minutes == []
    folding.read([nothing(END + GRACE_MS)])
    assert len(folding.minutes) == 1
    folding.read([trade(2 * END, 1.0)]).fold.advance(NOON + 3 * END + GRACE_MS)
    assert len(folding.minutes) == 2
    assert folding.fold.due == float("inf")


def test_several_minutes_that_finish_at_once_come_in_order() -> None:
    """A late event opens a minute after those that it is not in."""
    folding = Folding(interval_ms=1000).read([trade(2500, 1.0), trade(2600, 1.0, at=1500)])
    folding.read([nothing(9000)])
    starts = [[each.start - NOON for each in minute] for minute in folding.minutes]
    assert starts == [[1000], [2000]]


def test_a_time_that_goes_back_counts_as_the_greatest_one_so_far() -> None:
    """As after a change of the stream's leader."""
    found = candles_of(trade(END + GRACE_MS, 1.0), trade(END - 500, 2.0))
    assert [(each["start"] - NOON, each["trades"]) for each in found] == [(END, 2)]


def test_the_stream_s_time_never_goes_back() -> None:
    folding = Folding().read([trade(END, 1.0)])
    folding.fold.advance(NOON)
    folding.fold.advance(NOON + 2 * END + GRACE_MS - 1)
    assert folding.minutes == []


def test_the_epoch_and_the_last_seq_are_known() -> None:
    folding = Folding().read([trade(0, 1.0)])
    assert (folding.fold.epoch, folding.fold.seq) == ("e1", 1)
    assert folding.fold.has_traded("SOL")
    assert not folding.fold.has_traded("BTC")


def partial(folding: Folding) -> list[tuple[str, int]]:
    """Return the candles that may lack events."""
    folding.fold.advance(NOON + 100 * MINUTE_MS)
    found = folding.candles
    return [(each["slab"], each["start"] - NOON) for each in found if each.get("partial")]


def test_a_gap_makes_the_open_candles_of_its_market_partial() -> None:
    """And those up to the market's next event: what was lost was stored before it."""
    folding = Folding().read([trade(0, 1.0), trade(1, 1.0, slab="BTC")])
    folding.fold.record_gap("SOL")
    folding.read([trade(END + 10, 1.0), trade(END + 20, 1.0, slab="BTC"), trade(2 * END, 1.0)])
    assert partial(folding) == [("SOL", 0), ("SOL", END)]


def test_a_gap_ends_with_an_event_that_adds_to_an_open_candle() -> None:
    folding = Folding().read([trade(0, 1.0)])
    folding.fold.record_gap("SOL")
    folding.read([trade(10, 1.0), trade(END + 10, 1.0)])
    assert partial(folding) == [("SOL", 0)]


def test_a_gap_also_covers_a_minute_that_is_opened_after_a_later_one() -> None:
    folding = Folding().read([trade(END + 5, 1.0, slab="BTC")])
    folding.fold.record_gap("SOL")
    folding.read([trade(END + 10, 1.0), trade(END + 20, 1.0, at=END - 5), trade(9 * END, 1.0)])
    assert partial(folding) == [("SOL", 0), ("SOL", END)]


def test_the_first_event_of_a_market_may_not_be_its_first_if_the_stream_lacks_its_beginning() -> (
    None
):
    """Up to the seq that the stream had when it was first read; later, all of it is read."""
    folding = Folding(unsure_through=2)
    folding.read([trade(0, 1.0), trade(1, 1.0), trade(2, 1.0, slab="BTC"), trade(END + 1, 1.0)])
    assert partial(folding) == [("SOL", 0)]


def test_a_candle_names_its_subject_and_has_an_id_of_its_own() -> None:
    candle = Candle("SOL", NOON, b"{}")
    assert candle.subject == "percolator.candle.SOL"
    assert candle.message_id == f"SOL:{NOON}"


def test_a_candle_that_becomes_partial_is_the_same_as_one_that_was_folded_so() -> None:
    folding = Folding().read([trade(0, 1.5), nothing(2 * END)])
    gapped = Folding().read([trade(0, 1.5)])
    gapped.fold.record_gap("SOL")
    gapped.read([nothing(2 * END)])
    [[candle]], [[expected]] = folding.minutes, gapped.minutes
    assert candle.as_partial() == expected
    assert expected.as_partial() == expected


def test_a_candle_that_was_written_is_read_back() -> None:
    [[candle]] = Folding().read([trade(0, 1.5), nothing(2 * END)]).minutes
    assert read(candle.payload, (NOON + END) * 1_000_000) == Written(NOON, "trades", 1, "e1")


@pytest.mark.parametrize(
    "change",
    [
        {"type": "trade"},
        {"start": "1"},
        {"start": NOON + 1},  # it begins after it was stored
        {"last": None},
        {"epoch": 1},
        {"source": "other"},
    ],
    ids=str,
)
def test_another_message_is_not_read(change: dict[str, object]) -> None:
    fields = {"type": "candle", "start": NOON, "source": "prices", "last": 1, "epoch": "e"}
    assert read(json.dumps(fields).encode(), NOON * 1_000_000)
    assert read(json.dumps(fields | change).encode(), NOON * 1_000_000) is None


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{"], ids=repr)
def test_a_message_without_an_object_is_not_read(payload: bytes) -> None:
    assert read(payload, NOON * 1_000_000) is None
