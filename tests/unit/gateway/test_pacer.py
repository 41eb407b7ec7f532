"""The pacer: one flush for all that happens at once, and a pause as long as the flush."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.pacer import Pacer


class Handle:
    """A call that is to come, unless it is cancelled."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Take it back."""
        self.cancelled = True


class Loop:
    """What a pacer needs of an event loop, with a clock that is a number."""

    def __init__(self) -> None:
        self.now = 100.0
        self.failures: list[Exception] = []
        self._calls: list[Handle] = []

    def time(self) -> float:
        """The clock."""
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> Handle:
        """In the next iteration."""
        return self.call_at(self.now, callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """In the first iteration that is no earlier than `when`."""
        handle = Handle(when, callback)
        self._calls.append(handle)
        return handle

    def iterate(self) -> None:
        """Run what is due now, and not what that brings with it; a failure is noted."""
        now, calls = self.now, self._calls
        self._calls = [call for call in calls if call.when > now]
        for call in sorted(calls, key=lambda one: one.when):
            if call.when <= now and not call.cancelled:
                try:
                    call.callback()
                except Exception as failure:  # noqa: BLE001 - whatever it is
                    self.failures.append(failure)

    def run_until(self, end: float) -> None:
        """Run everything in its turn, the clock going on by itself between, until `end`."""
        while following := [
            call.when for call in self._calls if call.when <= end and not call.cancelled
        ]:
            self.now = max(self.now, min(following))
            self.iterate()
        self.now = max(self.now, end)


class Work:
    """What is flushed: each flush takes some time, says whether it left something, and is noted."""

    def __init__(self, loop: Loop) -> None:
        self.spans: list[tuple[float, float]] = []
        self.takes: list[float] = []
        self.leaves: list[bool] = []
        self.due: float | None = None
        self.during: Callable[[], None] = lambda: None
        self._loop = loop

    def flush(self) -> bool:
        """Take as long as is said next, else no time at all."""
        start = self._loop.now
        self._loop.now += self.takes.pop(0) if self.takes else 0.0
        self.spans.append((start, self._loop.now))
        self.during()
        return self.leaves.pop(0) if self.leaves else False

    @property
    def starts(self) -> list[float]:
        """When each flush began."""
        return [start for start, _ in self.spans]


class Paced:
    """A loop, a pacer, and its work."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.work = Work(self.loop)
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.pacer = Pacer(loop, self.work.flush, lambda: self.work.due)


@pytest.fixture
def paced() -> Paced:
    """One that has not flushed yet."""
    return Paced()


def test_nothing_is_flushed_that_nobody_asked_for(paced: Paced) -> None:
    """An idle gateway costs nothing."""
    paced.loop.run_until(200.0)
    assert paced.work.spans == []


def test_all_that_happens_in_one_iteration_is_flushed_once(paced: Paced) -> None:
    """In the next one, without any delay."""
    for _ in range(3):
        paced.pacer.wake()
    assert paced.work.spans == []
    paced.loop.iterate()
    paced.loop.iterate()
    assert paced.work.starts == [100.0]


def test_the_next_flush_waits_as_long_as_the_last_one_took(paced: Paced) -> None:
    """So flushing takes half of the loop at the most."""
    paced.work.takes = [0.25]
    paced.pacer.wake()
    paced.loop.iterate()
    paced.pacer.wake()
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    assert paced.work.spans == [(100.0, 100.25), (100.5, 100.5)]


def test_after_the_pause_the_next_flush_comes_at_once(paced: Paced) -> None:
    """A trickle is not slowed down."""
    paced.work.takes = [0.001]
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    paced.pacer.wake()
    paced.loop.iterate()
    assert paced.work.starts == [100.0, 101.0]


@pytest.mark.parametrize(("took", "gathered"), [(0.008, 0.001), (0.25, 0.002)])
def test_where_flushes_take_long_a_burst_gathers_first(
    paced: Paced, took: float, gathered: float
) -> None:
    """An eighth of what the last flush took, and no more than two milliseconds."""
    paced.work.takes = [took]
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    paced.pacer.wake()
    paced.loop.run_until(102.0)
    assert paced.work.starts == pytest.approx([100.0, 101.0 + gathered])


def test_what_a_flush_leaves_is_flushed_after_the_pause(paced: Paced) -> None:
    """Without anybody asking for it."""
    paced.work.takes = [0.25, 0.25]
    paced.work.leaves = [True, False]
    paced.pacer.wake()
    paced.loop.run_until(102.0)
    assert paced.work.spans == [(100.0, 100.25), (100.5, 100.75)]


def test_what_a_flush_itself_asks_for_waits_too(paced: Paced) -> None:
    """It asks under load, just when the pause is needed."""
    paced.work.takes = [0.25, 0.25]
    paced.work.leaves = [True, False]
    paced.work.during = paced.pacer.wake
    paced.pacer.wake()
    paced.loop.run_until(100.6)
    assert paced.work.starts[:2] == [100.0, 100.5]


def test_a_flush_says_itself_what_it_left(paced: Paced) -> None:
    """What it asked for and has done meanwhile costs no further flush."""
    paced.work.during = paced.pacer.wake
    paced.pacer.wake()
    paced.loop.run_until(101.0)
    assert paced.work.starts == [100.0]


@given(st.lists(st.integers(0, 64).map(lambda one: one / 64), min_size=1, max_size=30))
def test_flushing_takes_half_of_the_loop_at_the_most(takes: list[float]) -> None:
    """Each pause is as long as the flush before it, however much is left each time."""
    paced = Paced()
    paced.work.takes = list(takes)
    paced.work.leaves = [True] * (len(takes) - 1)
    paced.pacer.wake()
    paced.loop.run_until(1_000.0)
    assert len(paced.work.spans) == len(takes)
    for (start, end), (following, _) in pairwise(paced.work.spans):
        assert following == end + (end - start)


def test_a_flush_comes_when_something_is_due(paced: Paced) -> None:
    """A price that was held back does not wait for the next event."""
    paced.work.due = 100.5
    paced.pacer.wake()
    paced.loop.run_until(100.4)
    paced.work.due = None
    paced.loop.run_until(200.0)
    assert paced.work.starts == [100.0, 100.5]


def test_only_the_latest_due_time_counts(paced: Paced) -> None:
    """Each flush asks anew; what it asked for before is taken back."""
    paced.work.due = 100.5
    paced.pacer.wake()
    paced.loop.run_until(100.1)
    paced.work.due = 100.75
    paced.pacer.wake()
    paced.loop.run_until(100.6)
    paced.work.due = None
    paced.loop.run_until(200.0)
    assert paced.work.starts == [100.0, 100.1, 100.75]


def test_a_flush_that_is_due_keeps_the_pause_as_well(paced: Paced) -> None:
    """It comes late rather than too often."""
    paced.work.takes = [0.5]
    paced.work.due = 100.6
    paced.pacer.wake()
    paced.loop.iterate()
    paced.work.due = None
    paced.loop.run_until(102.0)
    assert paced.work.starts == [100.0, 101.0]


@pytest.mark.parametrize("when", ["before", "waiting", "paused", "due"])
def test_after_the_stop_nothing_is_flushed_any_more(paced: Paced, when: str) -> None:
    """Neither what was asked for before nor what is asked for after."""
    if when in ("paused", "due"):
        paced.work.takes = [0.25]
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


def test_a_flush_that_fails_does_not_stop_the_next(paced: Paced) -> None:
    """The loop reports it; whoever is woken next gets its flush, and its pause."""

    def fail() -> None:
        paced.work.during = lambda: None
        raise RuntimeError

    paced.work.takes = [0.25]
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
    """How many, how long together, and the longest."""
    paced.work.takes = [0.25, 0.5, 0.125]
    paced.work.leaves = [True, True, False]
    paced.pacer.wake()
    paced.loop.run_until(200.0)
    assert (paced.pacer.flushes, paced.pacer.seconds, paced.pacer.longest) == (3, 0.875, 0.5)
