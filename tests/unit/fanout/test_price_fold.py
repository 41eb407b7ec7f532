"""The fold over prices: which one is the state, from all of them or from the last ones."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from percolator.fanout import price_fold
from percolator.fanout.price_fold import (
    FIRST_LOOK_MS,
    MAX_POSSIBLE,
    MEMORY_MS,
    Dated,
    PriceRule,
    Remark,
    dated,
    first_look,
    fold,
    settle,
)

NO_JUMPS, FLAGS, REFUSES = PriceRule(), PriceRule(10), PriceRule(10, refuse_jumps=True)
RULES = [NO_JUMPS, FLAGS, REFUSES]


def at(stored: int, *, lag: int = 0, price: float = 100) -> Dated:
    """Return a price that was stored at a time, with a timestamp from `lag` before that."""
    return dated(stored - lag, price, stored)


def state(rule: PriceRule, *prices: Dated) -> Dated | None:
    """Return the price that is the state after these."""
    found = fold(rule, prices)
    return None if found is None else prices[found]


# The rule.


@pytest.mark.parametrize("rule", RULES)
def test_the_first_price_of_a_market_is_its_state(rule: PriceRule) -> None:
    assert state(rule) is None
    assert state(rule, at(5, lag=3)) == at(5, lag=3)


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    """However much later it is stored."""
    assert state(NO_JUMPS, at(100), at(10**9, lag=10**9 - 99)) == at(100)


def test_of_two_prices_with_one_time_the_later_in_the_stream_wins() -> None:
    later = at(120, lag=20, price=7)
    assert state(NO_JUMPS, at(100), later) == later


def test_a_clock_that_is_ahead_wins_nothing() -> None:
    """A timestamp counts as no later than the time at which the price was stored."""
    assert at(100, lag=-50_000).time == 100
    assert state(NO_JUMPS, at(100, lag=-50_000), at(101)) == at(101)


def test_a_jump_is_noted_and_taken_if_jumps_are_not_refused() -> None:
    """In both directions, beyond the factor itself."""
    for jump in (at(2, price=1_000.1), at(2, price=9.9)):
        assert FLAGS.judge(at(1), jump) == Remark("price_jump", 100, left_out=False)
        assert state(FLAGS, at(1), jump) == jump
    for no_jump in (at(2, price=1_000), at(2, price=10)):
        assert FLAGS.judge(at(1), no_jump) is None
    assert NO_JUMPS.judge(at(1), at(2, price=1e300)) is None


def test_a_refused_jump_leaves_the_last_price() -> None:
    remark = REFUSES.judge(at(1), at(2, price=1e8))
    assert remark == Remark("price_jump", 100, left_out=True)
    assert state(REFUSES, at(1), at(2, price=1e8), at(3, price=101)) == at(3, price=101)


def test_after_a_minute_without_an_accepted_price_any_price_is_taken() -> None:
    """The market's price has really jumped; it is noted all the same."""
    last = at(1)
    just, late = at(1 + MEMORY_MS, price=1e8), at(2 + MEMORY_MS, price=1e8)
    assert state(REFUSES, last, just) == last
    assert state(REFUSES, last, late) == late
    assert REFUSES.judge(last, late) == Remark("price_jump", 100, left_out=False)


def test_without_a_factor_nothing_is_refused() -> None:
    """The switch alone does nothing."""
    assert not PriceRule(0, refuse_jumps=True).refuses_jumps


# The state from a part of the history.


def test_a_price_without_delay_is_the_state_whatever_came_before() -> None:
    """No earlier one has a later time, so nothing else need be read."""
    assert settle(NO_JUMPS, [at(100)], 100) == 0
    assert settle(NO_JUMPS, [at(100, lag=1)], 100) is None


def test_the_time_of_the_newest_price_is_far_enough_back() -> None:
    """Whatever was stored before that is older."""
    newest = at(10_000, lag=300)
    since = first_look(NO_JUMPS, newest)
    assert since == 9_700
    assert settle(NO_JUMPS, [at(9_800, lag=50), newest], since) == 0
    assert settle(NO_JUMPS, [newest], since) == 0


def test_a_price_with_a_very_old_time_is_looked_behind_in_steps() -> None:
    """Mostly, some seconds contain a price that is on time."""
    newest = at(10**9, lag=10**8)
    since = first_look(NO_JUMPS, newest)
    assert since == 10**9 - FIRST_LOOK_MS
    assert settle(NO_JUMPS, [at(10**9 - 5, lag=2), newest], since) == 0
    assert settle(NO_JUMPS, [newest], since) is None


def test_where_jumps_are_refused_more_than_a_minute_is_looked_at() -> None:
    """An earlier price may have refused any that came within a minute of it."""
    newest = at(10**9)
    since = first_look(REFUSES, newest)
    assert since == 10**9 - MEMORY_MS - 1
    assert settle(REFUSES, [newest], since) == 0
    assert settle(REFUSES, [newest], since + 1) is None


def test_two_kinds_of_prices_that_refuse_each_other_are_not_settled() -> None:
    """Which one is the state depends on which came first."""
    prices = [at(1_000 * n, price=100 if n % 2 else 1e8) for n in range(200)]
    assert settle(REFUSES, prices, 0) is None


def test_a_price_that_was_refused_as_a_jump_says_nothing_about_times() -> None:
    """One with an earlier time may have been accepted after it."""
    earlier, jump = at(1_000), at(2_000, price=1e8)
    right, wrong = at(30_000, lag=28_500), at(63_000, price=1e8)
    part = [jump, right, wrong]
    assert state(REFUSES, earlier, *part) == right
    assert settle(REFUSES, part, 1_200) is None


def test_prices_with_falling_times_end_the_search_early() -> None:
    """Each could be the state, if the one before the part had refused those before it."""
    prices = [at(10**7 + n, lag=3 * n) for n in range(10 * MAX_POSSIBLE)]
    rule = PriceRule(10, refuse_jumps=True)
    assert settle(rule, prices, 10**7) is None


@st.composite
def histories(draw: st.DrawFn) -> list[Dated]:
    """Prices as stored: mostly on time, some late, some ahead, some in millionths."""
    stored, prices = 10**6, []
    for _ in range(draw(st.integers(1, 14))):
        stored += draw(st.sampled_from([0, 1, 500, 20_000, MEMORY_MS, MEMORY_MS + 1]))
        lag = draw(st.sampled_from([-3, 0, 0, 1, 400, 30_000, 70_000]))
        price = draw(st.sampled_from([100.0, 101.0, 1e8, 1e-4]))
        prices.append(at(stored, lag=lag, price=price))
    return prices


@given(histories(), st.sampled_from(RULES), st.data())
def test_a_state_that_is_settled_is_the_state_of_the_whole_history(
    prices: Sequence[Dated], rule: PriceRule, data: st.DataObject
) -> None:
    """From wherever the part begins."""
    start = data.draw(st.integers(0, len(prices) - 1))
    since = data.draw(st.integers(prices[start - 1].stored if start else 0, prices[start].stored))
    found = settle(rule, prices[start:], since)
    assume(found is not None)
    assert prices[start:][found or 0] == state(rule, *prices)
    assert start + (found or 0) == fold(rule, prices)


@given(histories(), st.sampled_from([NO_JUMPS, FLAGS]))
def test_without_refusals_the_time_of_the_newest_price_always_settles_it(
    prices: Sequence[Dated], rule: PriceRule
) -> None:
    """The state is the price with the latest time, so the search always ends."""
    since = prices[-1].time
    part = [price for price in prices if price.stored >= since]
    found = settle(rule, part, since)
    assert found is not None
    assert part[found] == state(rule, *prices)
    assert part[found].time == max(price.time for price in prices)


def test_the_longest_wait_of_a_real_jump_is_a_minute() -> None:
    """What the documentation promises."""
    assert price_fold.MEMORY_MS == 60_000
