"""The heartbeat: pings all connections in turn, without a timer or a task per connection.

Each tick pings its share of the connections, so that each is pinged once per interval and pings
never leave all together. A connection that does not answer in time is terminated.
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame, Opcode

from percolator.histogram import ROUND_TRIP_SECONDS, Histogram

TICK_SECONDS = 0.1
"""Seconds between two ticks."""

_STAMP = struct.Struct("!d")
"""The payload of a ping: the time when it was sent."""


class Pingable(Protocol):
    """What the heartbeat needs of a connection."""

    @property
    def is_open(self) -> bool:
        """True from the upgrade until either side closes."""

    def send(self, data: bytes) -> None:
        """Write encoded frames."""

    def terminate(self) -> None:
        """Abort the TCP connection."""


class Heartbeat:
    """Decides which connection is pinged when, and which has not answered in time.

    An interval of 0 sends no pings; a timeout of 0 waits for no pongs.
    """

    def __init__(self, clock: Callable[[], float], interval: float, timeout: float) -> None:
        self.pongs = Histogram(ROUND_TRIP_SECONDS)
        """Seconds from a ping to its pong."""
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._turns: deque[Pingable] = deque()
        self._waiting: dict[Pingable, float] = {}
        """When the ping was sent that a connection has not answered yet."""
        self._sent: deque[tuple[float, Pingable]] = deque()
        """All pings of the last `timeout` seconds, oldest first."""
        self._share = 0.0
        self._at = clock()

    def add(self, connection: Pingable) -> None:
        """Ping a connection from now on, for as long as it is open."""
        if self._interval:
            self._turns.append(connection)

    def pong(self, connection: Pingable, payload: bytes) -> bool:
        """Count a pong; return False if it does not answer our ping."""
        sent = self._waiting.get(connection)
        if sent is None or payload != _STAMP.pack(sent):
            return False
        del self._waiting[connection]
        self.pongs.add(self._clock() - sent)
        return True

    def forget(self, connection: Pingable) -> None:
        """Stop waiting for a pong from a connection that is gone."""
        self._waiting.pop(connection, None)

    def tick(self) -> None:
        """Terminate connections that are overdue, then ping the next ones."""
        now = self._clock()
        while self._sent and self._sent[0][0] + self._timeout <= now:
            sent, connection = self._sent.popleft()
            if self._waiting.get(connection) == sent:
                self.forget(connection)
                connection.terminate()
        if self._interval:
            self._share += len(self._turns) * min((now - self._at) / self._interval, 1.0)
            self._at = now
            self._ping_share(now)

    def _ping_share(self, now: float) -> None:
        """Ping as many connections as the share allows; closed ones are dropped for free."""
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
        if connection in self._waiting:
            return  # a client may answer only the last ping, and we wait for the first
        connection.send(frame)
        if self._timeout:
            self._waiting[connection] = now
            self._sent.append((now, connection))
