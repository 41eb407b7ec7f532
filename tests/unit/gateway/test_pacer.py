"""Pacer: one flush for all simultaneous events, and a pause as long as the flush."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.pacer import Pacer


class Handle:
    """A scheduled call."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Cancel the call."""
        self.cancelled = True


class Loop:
    """The event loop of a pacer, with a clock that is a number."""

    def __init__(self) -> None:
        self.now = 100.0
        self.failures: list[Exception] = []
        self._calls: list[Handle] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> Handle:
        """Schedule a call for the next iteration."""
        return self.call_at(self.now, callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Schedule a call for the first iteration at or after `when`."""
        handle = Handle(when, callback)
        self._calls.append(handle)
        return handle

    def iterate(self) -> None:
        """Run the calls that are due now, but not those that they schedule; record failures."""
        now, calls = self.now, self._calls
        self._calls = [call for call in calls if call.when > now]
        for call in sorted(calls, key=lambda one: one.when):
            if call.when <= now and not call.cancelled:
                try:
                    call.callback()
                except Exception as failure:  # noqa: BLE001 - any failure
                    self.failures.append(failure)

    def run_until(self, end: float) -> None:
        """Run all calls in order until `end`, advancing the clock."""
        while following := [
            call.when for call in self._calls if call.when <= end and not call.cancelled
        ]:
            self.now = max(self.now, min(following))
            self.iterate()
        self.now = max(self.now, end)


class Work:
    """Records flushes; each lasts the next of `durations` and returns the next of `leaves`."""

    def __init__(self, loop: Loop) -> None:
        self.spans: list[tuple[float, float]] = []
        self.durations: list[float] = []
        self.leaves: list[bool] = []
        self.due: float | None = None
        self.during: Callable[[], None] = lambda: None
        self._loop = loop

    def flush(self) -> bool:
        """Flush once."""
        start = self._loop.now
        self._loop.now += self.durations.pop(0) if self.durations else 0.0
        self.spans.append((start, self._loop.now))
        self.during()
        return self.leaves.pop(0) if self.leaves else False

    @property
    def starts(self) -> list[float]:
        """The times when flushes began."""
        return [start for start, _ in self.spans]


class Paced:
    """A loop, a pacer and its work."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.work = Work(self.loop)
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.pacer = Pacer(loop, self.work.flush, lambda: self.work.due)


@pytest.fixture
def paced() -> Paced:
    """A pacer that has not flushed yet."""
    return Paced()


def test_an_idle_pacer_never_flushes(paced: Paced) -> None:
    """An idle gateway costs nothing."""
    paced.loop.run_until(200.0)
    assert paced.work.spans == []


def test_all_wakes_of_one_iteration_cause_one_flush(paced: Paced) -> None:
    """In the next iteration, without delay."""
    for _ in range(3):
        paced.pacer.wake()
    assert paced.work.spans == []
    paced.loop.iterate()
    paced.loop.iterate()
    assert paced.work.starts == [100.0]


def test_the_next_flush_waits_as_long_as_the_last_one_took(paced: Paced) -> None:
    """Flushing takes at most half of the loop's time."""
    paced.work.durations = [0.25]
    paced.pacer.wake()
    paced.loop.iterate()
    paced.pacer.wake()
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    assert paced.work.spans == [(100.0, 100.25), (100.5, 100.5)]


def test_after_the_pause_the_next_flush_is_immediate(paced: Paced) -> None:
    """A trickle of events is not delayed."""
    paced.work.durations = [0.001]
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    paced.pacer.wake()
    paced.loop.iterate()
    assert paced.work.starts == [100.0, 101.0]


@pytest.mark.parametrize(("took", "gathered"), [(0.008, 0.001), (0.25, 0.002)])
def test_a_burst_waits_if_flushes_take_long(paced: Paced, took: float, gathered: float) -> None:
    """An eighth of the last flush, and at most two milliseconds."""
    paced.work.durations = [took]
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    paced.pacer.wake()
    paced.loop.run_until(102.0)
    assert paced.work.starts == pytest.approx([100.0, 101.0 + gathered])


def test_work_left_by_a_flush_is_flushed_after_the_pause(paced: Paced) -> None:
    """Without another wake."""
    paced.work.durations = [0.25, 0.25]
    paced.work.leaves = [True, False]
    paced.pacer.wake()
    paced.loop.run_until(102.0)
    assert paced.work.spans == [(100.0, 100.25), (100.5, 100.75)]


def test_a_wake_during_a_flush_waits_for_the_pause(paced: Paced) -> None:
    """Under load, the pause is needed most."""
    paced.work.durations = [0.25, 0.25]
    paced.work.leaves = [True, False]
    paced.work.during = paced.pacer.wake
    paced.pacer.wake()
    paced.loop.run_until(100.6)
    assert paced.work.starts[:2] == [100.0, 100.5]


def test_a_wake_during_a_flush_that_leaves_nothing_has_no_effect(paced: Paced) -> None:
    """The flush has already done the work."""
    paced.work.during = paced.pacer.wake
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    assert paced.work.starts == [100.0]


@given(st.lists(st.integers(0, 64).map(lambda one: one / 64), min_size=1, max_size=30))
def test_flushing_takes_at_most_half_of_the_loop(durations: list[float]) -> None:
    """Each pause is as long as the flush before it, even if work is always left."""
    paced = Paced()
    paced.work.durations = list(durations)
    paced.work.leaves = [True] * (len(durations) - 1)
    paced.pacer.wake()
    paced.loop.run_until(1_000.0)
    assert len(paced.work.spans) == len(durations)
    for (start, end), (following, _) in pairwise(paced.work.spans):
        assert following == end + (end - start)


def test_a_flush_happens_at_the_due_time(paced: Paced) -> None:
    """A conflated price does not wait for the next event."""
    paced.work.due = 100.5
    paced.pacer.wake()
    paced.loop.run_until(100.4)
    paced.work.due = None
    paced.loop.run_until(200.0)
    assert paced.work.starts == [100.0, 100.5]


def test_only_the_latest_due_time_counts(paced: Paced) -> None:
    """Each flush replaces the due time."""
    paced.work.due = 100.5
    paced.pacer.wake()
    paced.loop.run_until(100.1)
    paced.work.due = 100.75
    paced.pacer.wake()
    paced.loop.run_until(100.6)
    paced.work.due = None
    paced.loop.run_until(200.0)
    assert paced.work.starts == [100.0, 100.1, 100.75]


def test_a_due_flush_waits_for_the_pause(paced: Paced) -> None:
    """Being late is better than flushing too often."""
    paced.work.durations = [0.5]
    paced.work.due = 100.6
    paced.pacer.wake()
    paced.loop.iterate()
    paced.work.due = None
    paced.loop.run_until(102.0)
    assert paced.work.starts == [100.0, 101.0]


@pytest.mark.parametrize("when", ["before", "waiting", "paused", "due"])
def test_a_stopped_pacer_never_flushes(paced: Paced, when: str) -> None:
    """Neither for wakes before the stop nor after it."""
    if when in ("paused", "due"):
        paced.work.durations = [0.25]
        paced.work.due = 100.5 if when == "due" else None
        paced.pacer.wake()
        paced.loop.iterate()
    if when in ("waiting", "paused"):
        paced.pacer.wake()
    flushed = len(paced.work.spans)
    paced.pacer.stop()
    paced.pacer.wake()
    paced.loop.run_until(200.0)
    assert len(paced.work.spans) == flushed


def test_a_failing_flush_does_not_stop_the_next(paced: Paced) -> None:
    """The loop reports the failure; the next flush happens after the pause."""

    def fail() -> None:
        paced.work.during = lambda: None
        raise RuntimeError

    paced.work.durations = [0.25]
    paced.work.during = fail
    paced.work.due = 103.0
    paced.pacer.wake()
    paced.loop.iterate()
    assert len(paced.loop.failures) == 1
    paced.pacer.wake()
    paced.loop.run_until(102.0)
    assert paced.work.starts == [100.0, 100.5]
    paced.work.due = None
    paced.loop.run_until(104.0)
    assert paced.work.starts == [100.0, 100.5, 103.0]


def test_flushes_are_counted_and_timed(paced: Paced) -> None:
    """The count, the total and the maximum."""
    paced.work.durations = [0.25, 0.5, 0.125]
    paced.work.leaves = [True, True, False]
    paced.pacer.wake()
    paced.loop.run_until(200.0)
    assert (paced.pacer.flushes, paced.pacer.seconds, paced.pacer.longest) == (3, 0.875, 0.5)
