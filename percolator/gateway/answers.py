"""Answers that clients do not read: what waits for them in user space is bounded in total."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from percolator.gateway.addresses import tiers

T = TypeVar("T", bound=Hashable)

MAX_UNREAD_BYTES = 16 * 2**20
"""Bytes of all unread answers together."""


class UnreadAnswers(Generic[T]):
    """The unread bytes of each connection whose request was answered, the oldest answer first."""

    def __init__(self) -> None:
        self.total = 0
        self._answers: dict[T, tuple[str, int]] = {}

    def add(self, connection: T, address: str, size: int) -> list[T]:
        """Count an answer; return the connections to end, which no longer count.

        The address with the most unread bytes loses its oldest answers, so that a client that does
        not read costs only itself an answer. IPv6 counts by /48.
        """
        if not size:
            return []
        self._answers[connection] = (tiers(address)[-1].key, size)
        self.total += size
        ended = []
        while self.total > MAX_UNREAD_BYTES:
            oldest = self._oldest_of_the_worst()
            self.forget(oldest)
            ended.append(oldest)
        return ended

    def forget(self, connection: T) -> None:
        """Note that a connection is gone."""
        _, size = self._answers.pop(connection, ("", 0))
        self.total -= size

    def _oldest_of_the_worst(self) -> T:
        unread: Counter[str] = Counter()
        for network, size in self._answers.values():
            unread[network] += size
        worst = max(unread, key=unread.__getitem__)
        return next(each for each, (network, _) in self._answers.items() if network == worst)
