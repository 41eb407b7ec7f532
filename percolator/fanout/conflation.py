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
        self._open: deque[LatestLog] = deque()

    @property
    def due(self) -> float | None:
        """When the next window ends; None where none is open."""
        return self._open[0].due if self._open else None

    def offer(self, log: LatestLog, now: float, order: int) -> bool:
        """Show the log's newest value, unless its window is open: then it waits for the end."""
        return not log.windowed and self._show(log, now, order)

    def close(self, now: float, order: int) -> list[LatestLog]:
        """End the windows whose time has come; give the logs that show a new value."""
        shown = []
        while self._open and self._open[0].due <= now:
            log = self._open.popleft()
            log.windowed = False
            if self._show(log, now, order):
                shown.append(log)
        return shown

    def _show(self, log: LatestLog, now: float, order: int) -> bool:
        if not log.show(order):
            return False
        log.windowed = True
        log.due = now + self._interval
        self._open.append(log)
        return True
