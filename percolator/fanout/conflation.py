"""Conflation: at most one price a slab in a given time, and never the last one withheld.

The first value after a quiet spell is shown at once and opens a window; what comes inside it
overwrites; when it ends, the newest value is shown and opens the next.
"""

from collections import deque

from percolator.fanout.log import LatestLog


class Windows:
    """The open windows of all price logs: of one length, so that the first to open ends first."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._waiting: deque[LatestLog] = deque()

    @property
    def due(self) -> float | None:
        """When the next window ends in which a value waits; None where none does."""
        return self._waiting[0].due if self._waiting else None

    def offer(self, log: LatestLog, now: float, order: int) -> bool:
        """Show the log's newest value, if it may be shown now; else see to it that it will be."""
        if log.waiting:
            return False
        if log.due <= now:
            log.due = now + self._interval
            return log.show(order)
        log.waiting = True
        self._waiting.append(log)
        return False

    def close(self, now: float, order: int) -> list[LatestLog]:
        """End the windows whose time has come; give the logs that show a new value."""
        shown = []
        while self._waiting and self._waiting[0].due <= now:
            log = self._waiting.popleft()
            log.waiting = False
            if log.show(order):
                log.due = now + self._interval
                shown.append(log)
        return shown
