"""The pacer: decides when the hub is flushed.

The first event of a loop iteration schedules one flush. After a flush that took d seconds, the next
waits d: flushing takes at most half of the loop's time, handshakes, pongs and the feed get their
turn, and under load events accumulate while they wait.

If flushes take long, the first event after a quiet period waits a little for the rest of its burst.
Otherwise all clients would be sent the first few events, and then all of them the rest.
"""

import asyncio
from collections.abc import Callable

LONG_SECONDS = 0.002
"""A flush that takes longer makes the next burst wait."""
GATHER_SHARE = 1 / 8
"""How long a burst waits, as a share of the last flush: an unnoticeable delay."""
MAX_GATHER_SECONDS = 0.002
"""How long a burst waits at most."""


class Pacer:
    """Schedules `flush`, which returns whether work is left; `due` returns when more is due.

    Waking it during a flush has no effect: the flush itself returns whether work is left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        flush: Callable[[], bool],
        due: Callable[[], float | None],
    ) -> None:
        self.flushes = 0
        """Flushes so far."""
        self.seconds = 0.0
        """Seconds spent in flushes."""
        self.longest = 0.0
        """Seconds of the longest flush."""
        self._loop = loop
        self._flush = flush
        self._due = due
        self._not_before = 0.0
        self._gather = 0.0
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._stopped = False

    def wake(self) -> None:
        """Schedule a flush as soon as the pace allows, unless one is scheduled."""
        if self._soon is None and not self._stopped:
            now = self._loop.time()
            start = max(self._not_before, now + self._gather)
            if start <= now:
                self._soon = self._loop.call_soon(self._run)
            else:
                self._soon = self._loop.call_at(start, self._run)

    def stop(self) -> None:
        """Cancel all flushes."""
        self._stopped = True
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()

    def _run(self) -> None:
        start = self._loop.time()
        more = True  # a flush that raises leaves the rest of its queue
        try:
            more = self._flush()
        finally:
            self._soon = None
            self._count(start, self._loop.time())
            if more:
                self.wake()
            self._set_timer()

    def _count(self, start: float, end: float) -> None:
        seconds = end - start
        self.flushes += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)
        self._not_before = end + seconds
        long = seconds > LONG_SECONDS
        self._gather = min(seconds * GATHER_SHARE, MAX_GATHER_SECONDS) if long else 0.0

    def _set_timer(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        due = self._due()
        if due is not None:
            self._later = self._loop.call_at(due, self.wake)
