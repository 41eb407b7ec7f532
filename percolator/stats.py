"""Counters and sliding rates: the numbers behind `/ws/stats`.

On the hot path, a counter is a plain integer. Once per second `tick` records them all; a rate is
the difference over the last minute, or since the start if that is shorter.
"""

from collections import Counter, deque
from typing import NamedTuple

WINDOW_SECONDS = 60.0


class Totals(NamedTuple):
    """The counters that have rates, at one time."""

    at: float
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    events: int


class Rates(NamedTuple):
    """Averages per second over the window."""

    messages_sent: float
    messages_received: float
    bytes_sent: float
    bytes_received: float
    events: float


class Stats:
    """All counters of a gateway; the parts that count add to them directly."""

    def __init__(self, now: float) -> None:
        self.started = now
        self.messages_sent = 0
        self.messages_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.events: Counter[str] = Counter()
        """Valid events read from the stream, by kind."""
        self.rejected: Counter[str] = Counter()
        """Invalid events, by reason."""
        self.unknown_subjects = 0
        """Messages on subjects of kinds that this version does not know."""
        self.outdated = 0
        """Prices that did not replace the last one of their market, since they are older."""
        self.price_jumps = 0
        """Prices that are far from the last one of their market, rejected or not."""
        self.refused: Counter[str] = Counter()
        """Refused connections, by reason."""
        self.closed: Counter[int] = Counter()
        """Closed connections, by close code; 1006 if there was no close frame."""
        self.authentications: Counter[str] = Counter()
        """Verified tokens: `accepted` or `refused`."""
        self.resumed = 0
        """Channels resumed from memory."""
        self.catch_ups = 0
        """Times that a paused client has drained."""
        self.message_waits = 0
        """Times that a client was not read from because it was over its rate."""
        self.gaps = 0
        """Gaps sent to clients."""
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
        """Record the counters; called about once per second."""
        self._past.append(self._totals(now))
        while len(self._past) > 1 and self._past[1].at <= now - WINDOW_SECONDS:
            self._past.popleft()

    def rates(self, now: float) -> Rates:
        """Return the rates over the last minute, or since the start if that is shorter."""
        then, totals = self._past[0], self._totals(now)
        seconds = max(now - then.at, 1.0)
        return Rates(*((b - a) / seconds for a, b in zip(then[1:], totals[1:], strict=True)))
