"""The heartbeat: pings all connections in turn, without a timer or a task per connection.

Each tick pings its share of the connections, so that each is pinged once per interval and pings
never leave all together. A connection that then shows no sign of life in time is terminated. A
sign of life is any frame from the client, or that it takes what waits in our buffer.
"""

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from websockets.frames import Frame, Opcode

from percolator.histogram import ROUND_TRIP_SECONDS, Histogram

TICK_SECONDS = 0.1
"""Seconds between two ticks."""
PATIENCE = 6
"""How many times the timeout a client has that is behind: the ping must first get through to it.

The kernel's buffers at both ends hold more than ours, and the client may read 2 kB/s.
"""

_STAMP = struct.Struct("!d")
"""The payload of a ping: the time when it was sent."""


class Pingable(Protocol):
    """What the heartbeat needs of a connection."""

    @property
    def is_open(self) -> bool:
        """True from the upgrade until either side closes."""

    @property
    def is_behind(self) -> bool:
        """True if data for the client has waited in our buffer since its last frame."""

    @property
    def reading(self) -> bool:
        """False while nothing is read from the client; then `resumed` follows."""

    def send(self, data: bytes) -> None:
        """Write encoded frames."""

    def terminate(self) -> None:
        """Abort the TCP connection."""


class Heartbeat:
    """Decides which connection is pinged when, and which shows no sign of life in time.

    An interval of 0 sends no pings; a timeout of 0 terminates no connection.
    """

    def __init__(self, clock: Callable[[], float], interval: float, timeout: float) -> None:
        self.pongs = Histogram(ROUND_TRIP_SECONDS)
        """Seconds from a ping to its pong."""
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._turns: deque[Pingable] = deque()
        self._pinged: dict[Pingable, float] = {}
        """When the ping was sent to which no pong has come yet."""
        self._waiting: dict[Pingable, float] = {}
        """Since when a connection must show a sign of life."""
        self._checks: deque[tuple[float, float, Pingable]] = deque()
        """When to check connections, with what `_waiting` had for them; the next one first."""
        self._share = 0.0
        self._at = clock()

    def add(self, connection: Pingable) -> None:
        """Ping a connection from now on, for as long as it is open."""
        if self._interval:
            self._turns.append(connection)

    def alive(self, connection: Pingable) -> None:
        """Note a sign of life."""
        self._waiting.pop(connection, None)

    def pong(self, connection: Pingable, payload: bytes) -> bool:
        """Count a pong; return False if no ping of ours was unanswered.

        Some clients send pongs with a payload of their own: these count, but say nothing of the
        time that they took.
        """
        sent = self._pinged.pop(connection, None)
        if sent is None:
            return False
        if payload == _STAMP.pack(sent):
            self.pongs.add(self._clock() - sent)
        return True

    def resumed(self, connection: Pingable) -> None:
        """Start the time of a connection again that was not read from."""
        if connection in self._waiting:
            self._wait(connection, self._clock())

    def forget(self, connection: Pingable) -> None:
        """Drop a connection that is gone."""
        self._waiting.pop(connection, None)
        self._pinged.pop(connection, None)

    def tick(self) -> None:
        """Terminate connections that are overdue, then ping the next ones."""
        now = self._clock()
        while self._checks and self._checks[0][0] <= now:
            _, since, connection = self._checks.popleft()
            if self._waiting.get(connection) == since and connection.reading:
                self._check(connection, since, now)
        if self._interval:
            self._share += len(self._turns) * min((now - self._at) / self._interval, 1.0)
            self._at = now
            self._ping_share(now)

    def _check(self, connection: Pingable, since: float, now: float) -> None:
        """Terminate a connection without a sign of life, unless the ping may be on its way."""
        if connection.is_behind and now < since + PATIENCE * self._timeout:
            self._checks.append((now + self._timeout, since, connection))
        else:
            self.forget(connection)
            connection.terminate()

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
        self._pinged[connection] = now
        if self._timeout:
            self._wait(connection, now)

    def _wait(self, connection: Pingable, now: float) -> None:
        self._waiting[connection] = now
        self._checks.append((now + self._timeout, now, connection))
