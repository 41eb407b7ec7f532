"""Turns: in which order followers are written to, and for how long in one flush.

Groups hold the clients that keep up, so they go first. Clients that stand alone come, resume or
catch up: one message of a few hundred bytes can make them megabytes behind.
"""

from collections import deque
from collections.abc import Iterator

from percolator.fanout.book import Clock
from percolator.fanout.followers import Cursor, Group
from percolator.fanout.log import Follower

ALONE_SECONDS = 0.001
"""Seconds of a flush for clients that stand alone: those that keep up wait no longer for them."""
ALONE_SHARE = 1 / 4
"""The same as a share of the time that the groups took, if that is more: they must not starve."""


class Turns:
    """The followers that wait for a turn."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """`seconds` is how long the groups may take in a flush."""
        self._clock = clock
        self._seconds = seconds
        self._groups: deque[Group] = deque()
        self._alone: deque[Cursor] = deque()

    def add(self, follower: Follower) -> bool:
        """Line a follower up for its next turn; False if it waits already."""
        if follower.queued:
            return False
        follower.queued = True
        if isinstance(follower, Group):
            self._groups.append(follower)
        else:
            assert isinstance(follower, Cursor)
            self._alone.append(follower)
        return True

    def take(self) -> Iterator[Follower]:
        """Yield the followers whose turn it is in this flush; one that stands alone at least."""
        began = now = self._clock()
        while self._groups and now - began < self._seconds:
            yield self._next(self._groups)
            now = self._clock()
        stop = now + max(ALONE_SECONDS, (now - began) * ALONE_SHARE)
        while self._alone and now < stop:
            yield self._next(self._alone)
            now = self._clock()

    @staticmethod
    def _next(queue: deque[Group] | deque[Cursor]) -> Follower:
        follower = queue.popleft()
        follower.queued = False
        return follower

    @property
    def only_late(self) -> bool:
        """True if none waits but clients that catch up."""
        return not self._groups and all(cursor.catching_up for cursor in self._alone)

    def __bool__(self) -> bool:
        return bool(self._groups or self._alone)
