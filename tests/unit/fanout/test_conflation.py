"""Conflation: the first price at once, then one per window, and the last one is never withheld."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.followers import Cursor
from percolator.fanout.latest_log import LatestLog, Windows
from percolator.fanout.logs_of_all import LatestOfAll
from percolator.model.kinds import Price
from tests.channels import channel_of
from tests.unit.fanout.harness import Writer


class Prices:
    """Windows of half a second, and what they showed: the time, the slab and the seq."""

    def __init__(self, interval: float = 0.5) -> None:
        self.now = 0.0
        self.windows = Windows(interval, lambda: self.now)
        of_all = LatestOfAll(channel_of("price", "*"))
        self.logs = {
            slab: LatestLog(channel_of("price", slab), self.windows, of_all) for slab in "ABC"
        }
        for log in self.logs.values():
            log.followers[Cursor(Writer(lambda _: None))] = None
        self.seq = 0
        self.shown: list[tuple[float, str, int]] = []

    def offer(self, slab: str, now: float) -> bool:
        """Offer a new price; return True if it is shown at once."""
        self.seq += 1
        self.now = now
        log = self.logs[slab]
        at_once = log.append(self.seq, self.seq, Price(price=1.5, timestamp=0, slab=slab))
        if at_once:
            self._note(now, log)
        return at_once

    def close(self, now: float) -> list[str]:
        """Return the slabs whose window ends with a new price."""
        self.now = now
        closed = self.windows.close(lambda: self.seq)
        for log in closed:
            self._note(now, log)
        return [log.channel.slab for log in closed]

    def _note(self, now: float, log: LatestLog) -> None:
        assert log.shown is log.latest
        assert log.shown is not None
        self.shown.append((now, log.channel.slab, log.shown.seq))


def test_the_first_price_is_shown_at_once() -> None:
    """It opens a window."""
    prices = Prices()
    assert prices.windows.due is None
    assert prices.offer("A", 10.0)
    assert prices.windows.due == 10.5


def test_a_price_inside_the_window_waits_for_its_end() -> None:
    """Only the last of them is shown then."""
    prices = Prices()
    for at in (10.0, 10.1, 10.2, 10.3):
        prices.offer("A", at)
    assert prices.windows.due == 10.5
    assert prices.close(10.4) == []
    assert prices.close(10.5) == ["A"]
    assert prices.shown == [(10.0, "A", 1), (10.5, "A", 4)]


def test_a_price_shown_at_the_end_of_a_window_opens_the_next() -> None:
    """So a storm is conflated to one price per window for as long as it lasts."""
    prices = Prices()
    for at in (10.0, 10.1):
        prices.offer("A", at)
    prices.close(10.5)
    assert prices.windows.due == 11.0
    assert not prices.offer("A", 10.6)


def test_a_price_after_a_quiet_period_is_shown_at_once() -> None:
    """A window that ended without a new price leaves no trace."""
    prices = Prices()
    prices.offer("A", 10.0)
    assert prices.close(10.5) == []
    assert prices.windows.due is None
    assert prices.offer("A", 10.5)


def test_each_slab_has_a_window_of_its_own() -> None:
    """One slab does not delay another."""
    prices = Prices()
    assert prices.offer("A", 10.0)
    assert prices.offer("B", 10.1)


def test_windows_end_when_they_are_due_whichever_had_a_waiting_price_first() -> None:
    """B opened later and had a waiting price earlier; A is still shown first, and in time."""
    prices = Prices()
    for slab, at in (("A", 10.0), ("B", 10.1), ("B", 10.2), ("A", 10.3)):
        prices.offer(slab, at)
    assert prices.windows.due == 10.5
    assert prices.close(10.5) == ["A"]
    assert prices.windows.due == 10.6
    assert prices.close(10.6) == ["B"]
    assert prices.windows.due == 11.0


def test_a_late_close_withholds_nothing_from_other_slabs() -> None:
    """A price between the end of its window and the close waits for the close."""
    prices = Prices()
    for slab, at in (("A", 10.0), ("B", 10.01), ("A", 10.1), ("B", 10.1), ("A", 10.505)):
        prices.offer(slab, at)
    assert prices.close(10.51) == ["A", "B"]
    assert prices.shown[-2:] == [(10.51, "A", 5), (10.51, "B", 4)]


def test_without_an_interval_every_close_shows_the_newest_price() -> None:
    """Conflation is switched off: nothing waits longer than until the next flush."""
    prices = Prices(interval=0.0)
    assert [prices.offer("A", 10.0), prices.offer("A", 10.0)] == [True, False]
    assert prices.windows.due == 10.0
    assert prices.close(10.0) == ["A"]
    assert prices.close(10.0) == []
    assert prices.windows.due is None


def test_a_price_that_was_shown_without_a_window_is_not_shown_twice() -> None:
    """Without followers each price is shown at once, whether or not a window is open."""
    prices = Prices()
    for at in (10.0, 10.1):
        prices.offer("A", at)
    assert prices.logs["A"].show(order=3)
    assert prices.close(10.5) == []


# Sixteenths of a second, added without rounding.
steps = st.lists(
    st.tuples(st.sampled_from("ABC-"), st.integers(0, 12).map(lambda one: one / 16)), max_size=60
)


@given(steps)
def test_prices_are_conflated_and_the_last_is_always_shown(
    steps: list[tuple[str, float]],
) -> None:
    """At most one per slab and window, in order; none waits past the next close."""
    prices = Prices()
    now = 10.0
    for slab, wait in steps:
        now += wait
        if slab == "-":
            prices.close(now)
            due = prices.windows.due
            assert due is None or due > now
        else:
            prices.offer(slab, now)
    prices.close(now + 0.5)
    prices.close(now + 1.0)
    assert prices.windows.due is None
    for slab, log in prices.logs.items():
        times = [at for at, shown, _ in prices.shown if shown == slab]
        seqs = [seq for _, shown, seq in prices.shown if shown == slab]
        assert all(later - at >= 0.5 for at, later in pairwise(times))
        assert seqs == sorted(set(seqs))
        assert seqs[-1:] == ([log.latest.seq] if log.latest else [])
