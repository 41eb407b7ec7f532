"""Answers that clients do not read: what waits for them in user space is bounded in total."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from percolator.gateway.addresses import tiers

T = TypeVar("T", bound=Hashable)

MAX_UNREAD_BYTES = 16 * 2**20
"""Bytes of all unread answers together."""


class UnreadAnswers(Generic[T]):
    """The unread bytes of each connection whose request was answered, the oldest answer first.

    They count per address, and for IPv6 per /48.
    """

    def __init__(self) -> None:
        self.total = 0
        self._answers: dict[T, tuple[str, int]] = {}
        self._by_network: Counter[str] = Counter()

    def allows(self, address: str) -> bool:
        """Return whether an address leaves few enough bytes unread to get another answer.

        That is none, or less than half of what is free: the more is unread in total, the less each
        address may leave unread, and there is room for others.
        """
        held = self._by_network[_network(address)]
        return not held or held < (MAX_UNREAD_BYTES - self.total) // 2

    def add(self, connection: T, address: str, size: int) -> list[T]:
        """Count an answer; return the connections to end, which no longer count.

        The address with the most unread bytes loses its oldest answers.
        """
        if not size:
            return []
        network = _network(address)
        self._answers[connection] = (network, size)
        self._by_network[network] += size
        self.total += size
        ended = []
        while self.total > MAX_UNREAD_BYTES:
            worst = max(self._by_network, key=self._by_network.__getitem__)
            oldest = next(each for each, (of, _) in self._answers.items() if of == worst)
            self.forget(oldest)
            ended.append(oldest)
        return ended

    def forget(self, connection: T) -> None:
        """Note that a connection is gone."""
        network, size = self._answers.pop(connection, ("", 0))
        self.total -= size
        self._by_network[network] -= size
        if not self._by_network[network]:
            del self._by_network[network]


def _network(address: str) -> str:
    return tiers(address)[-1].key
