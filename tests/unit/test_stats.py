"""Stats: plain counters, and rates over a sliding window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.stats import WINDOW_SECONDS, Stats


def test_rates_are_averages_since_the_start_in_the_first_minute() -> None:
    """They are not divided by the whole window."""
    stats = Stats(now=100.0)
    stats.messages_sent, stats.messages_received = 50, 10
    stats.bytes_sent, stats.bytes_received = 5_000, 300
    stats.events["price"] += 20
    stats.events["trade"] += 5
    assert stats.rates(105.0) == (10.0, 2.0, 1_000.0, 60.0, 5.0)


def test_the_first_second_counts_as_a_whole_second() -> None:
    """No division by zero, and no absurd rate after a burst at the start."""
    stats = Stats(now=100.0)
    stats.messages_sent = 50
    assert stats.rates(100.0).messages_sent == 50.0
    assert stats.rates(100.5).messages_sent == 50.0


def test_counts_older_than_the_window_are_forgotten() -> None:
    """A burst counts for one minute."""
    stats = Stats(now=0.0)
    stats.messages_sent = 600
    for second in range(1, 120):
        stats.tick(float(second))
        expected = 600 / second if second <= WINDOW_SECONDS else 0.0
        assert stats.rates(float(second)).messages_sent == pytest.approx(expected)


def test_reading_the_rates_changes_nothing() -> None:
    """Any number of readers get the same rates."""
    stats = Stats(now=0.0)
    stats.bytes_sent = 100
    stats.tick(1.0)
    assert stats.rates(2.0) == stats.rates(2.0)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=150))
def test_the_rate_is_the_average_of_the_last_minute(each_second: list[int]) -> None:
    """It equals the plain sum, with a tick every second."""
    stats = Stats(now=0.0)
    for second, messages in enumerate(each_second, start=1):
        stats.messages_sent += messages
        stats.tick(float(second))
    window = each_second[-int(WINDOW_SECONDS) :]
    rate = stats.rates(float(len(each_second))).messages_sent
    assert rate == pytest.approx(sum(window) / len(window))


def test_the_memory_of_the_window_is_bounded() -> None:
    """One record per second of the last minute, however long the gateway runs."""
    stats = Stats(now=0.0)
    for second in range(10_000):
        stats.tick(float(second))
    assert len(stats._past) <= WINDOW_SECONDS + 2
