"""The pacer: when the hub is flushed.

The first event of a loop iteration schedules one flush. After a flush that took d seconds the
next waits d: so flushing takes half of the loop at the most, handshakes, pongs and the feed get
their turn, and under load events gather by themselves while they wait.

Where a flush takes long, the first event after a quiet spell waits a little too, for the rest of
its burst: else all clients would be written the first few events, and then all of them once more.
"""

import asyncio
from collections.abc import Callable

LONG_SECONDS = 0.002
GATHER_SHARE = 1 / 8
"""Of the time that the last flush took, where it was a long one: so much more is hardly felt."""
MOST_GATHER_SECONDS = 0.002


class Pacer:
    """Schedules `flush`, which says whether it left something; `due` is a time it wants besides.

    A wake from inside a flush counts for nothing: the flush says itself what it left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        flush: Callable[[], bool],
        due: Callable[[], float | None],
    ) -> None:
        self.flushes = 0
        self.seconds = 0.0
        """Time spent in flushes."""
        self.longest = 0.0
        self._loop = loop
        self._flush = flush
        self._due = due
        self._not_before = 0.0
        self._gather = 0.0
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._stopped = False

    def wake(self) -> None:
        """See to it that a flush comes, as soon as the pace allows."""
        if self._soon is None and not self._stopped:
            now = self._loop.time()
            start = max(self._not_before, now + self._gather)
            if start <= now:
                self._soon = self._loop.call_soon(self._run)
            else:
                self._soon = self._loop.call_at(start, self._run)

    def stop(self) -> None:
        """Flush no more."""
        self._stopped = True
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()

    def _run(self) -> None:
        start = self._loop.time()
        more = True  # a flush that fails leaves the rest of its queue
        try:
            more = self._flush()
        finally:
            self._soon = None
            self._count(start, self._loop.time())
            if more:
                self.wake()
            self._set_timer()

    def _count(self, start: float, end: float) -> None:
        took = end - start
        self.flushes += 1
        self.seconds += took
        self.longest = max(self.longest, took)
        self._not_before = end + took
        long = took > LONG_SECONDS
        self._gather = min(took * GATHER_SHARE, MOST_GATHER_SECONDS) if long else 0.0

    def _set_timer(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        due = self._due()
        if due is not None:
            self._later = self._loop.call_at(due, self.wake)
