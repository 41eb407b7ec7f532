"""Counters and sliding rates: the numbers behind `/ws/stats`.

On the hot path a counter is a plain integer that is added to. Once a second `tick` notes where
they stand; a rate is the difference over the last minute, or since the start where that is shorter.
"""

from collections import Counter, deque
from typing import NamedTuple

WINDOW_SECONDS = 60.0


class Totals(NamedTuple):
    """Where the counters that have rates stood at a time."""

    at: float
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    events: int


class Rates(NamedTuple):
    """What went by in a second, on average over the window."""

    messages_sent: float
    messages_received: float
    bytes_sent: float
    bytes_received: float
    events: float


class Stats:
    """All counters of a gateway. Anybody may add to them."""

    def __init__(self, now: float) -> None:
        self.started = now
        self.messages_sent = 0
        self.messages_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.events: Counter[str] = Counter()
        """Events taken from the stream, by kind."""
        self.rejected: Counter[str] = Counter()
        """Events that did not validate, by reason."""
        self.unknown_subjects = 0
        """Messages on subjects of kinds that this version does not know."""
        self.refused: Counter[str] = Counter()
        """Connections that were not let in, by reason."""
        self.closed: Counter[int] = Counter()
        """Connections that ended, by close code; 1006 where no close frame was seen."""
        self.authentications: Counter[str] = Counter()
        """Tokens that were `accepted` and `refused`."""
        self.resumed = 0
        """Channels that were resumed from memory."""
        self.catch_ups = 0
        """Clients that were behind, and have drained."""
        self.gaps = 0
        """Gaps that were announced."""
        self._past: deque[Totals] = deque([self._totals(now)])

    def _totals(self, now: float) -> Totals:
        return Totals(
            now,
            self.messages_sent,
            self.messages_received,
            self.bytes_sent,
            self.bytes_received,
            self.events.total(),
        )

    def tick(self, now: float) -> None:
        """Note where the counters stand; to be called about once a second."""
        self._past.append(self._totals(now))
        while len(self._past) > 1 and self._past[1].at <= now - WINDOW_SECONDS:
            self._past.popleft()

    def rates(self, now: float) -> Rates:
        """Give the rates over the last minute, or since the start where that is shorter."""
        then, here = self._past[0], self._totals(now)
        seconds = max(now - then.at, 1.0)
        return Rates(*((b - a) / seconds for a, b in zip(then[1:], here[1:], strict=True)))
