"""The heartbeat: one sweep for all connections, no timer and no task for any of them.

Each tick pings the few whose turn it is, so that in the course of one interval each is pinged
once and a thousand pings never leave together. Whoever has not answered in time is terminated.
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame, Opcode

TICK_SECONDS = 0.1
PONG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds, of the histogram of the time to pong; one more is past the last."""

_STAMP = struct.Struct("!d")


class Pingable(Protocol):
    """What the heartbeat needs of a connection."""

    @property
    def is_open(self) -> bool:
        """True from the upgrade until either side closes."""

    def send(self, data: bytes) -> None:
        """Write frames, as they are."""

    def terminate(self) -> None:
        """Abort the TCP connection."""


class Heartbeat:
    """Who is to be pinged when, and who still owes a pong. An interval of 0 pings nobody."""

    def __init__(self, clock: Callable[[], float], interval: float, timeout: float) -> None:
        self.pongs = [0] * (len(PONG_BUCKETS) + 1)
        self.pong_seconds = 0.0
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._turns: deque[Pingable] = deque()
        self._owed: dict[Pingable, float] = {}
        self._overdue: deque[tuple[float, Pingable]] = deque()
        self._share = 0.0
        self._at = clock()

    def add(self, connection: Pingable) -> None:
        """Ping this one too, for as long as it is open."""
        if self._interval:
            self._turns.append(connection)

    def pong(self, connection: Pingable, payload: bytes) -> None:
        """Take a pong; one that answers no ping of ours says nothing."""
        sent = self._owed.get(connection)
        if sent is None or payload != _STAMP.pack(sent):
            return
        del self._owed[connection]
        took = self._clock() - sent
        self.pong_seconds += took
        bucket = next((i for i, most in enumerate(PONG_BUCKETS) if took <= most), len(PONG_BUCKETS))
        self.pongs[bucket] += 1

    def forget(self, connection: Pingable) -> None:
        """Expect nothing more of one that is gone."""
        self._owed.pop(connection, None)

    def tick(self) -> None:
        """Terminate whoever is overdue, then ping those whose turn has come."""
        now = self._clock()
        while self._overdue and self._overdue[0][0] + self._timeout <= now:
            sent, connection = self._overdue.popleft()
            if self._owed.get(connection) == sent:
                self.forget(connection)
                connection.terminate()
        if self._interval:
            self._share += len(self._turns) * min((now - self._at) / self._interval, 1.0)
            self._at = now
            self._take_turns(now)

    def _take_turns(self, now: float) -> None:
        """Ping as many as the share allows; those that are gone cost nothing of it."""
        frame = Frame(Opcode.PING, _STAMP.pack(now)).serialize(mask=False)
        for _ in range(len(self._turns)):
            if self._share < 1:
                break
            connection = self._turns.popleft()
            if connection.is_open:
                self._share -= 1
                self._turns.append(connection)
                self._ping(connection, now, frame)
        self._share %= 1

    def _ping(self, connection: Pingable, now: float, frame: bytes) -> None:
        if connection in self._owed:
            return  # it may answer the last ping only, and it is the first that we wait for
        connection.send(frame)
        if self._timeout:
            self._owed[connection] = now
            self._overdue.append((now, connection))
