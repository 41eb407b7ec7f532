"""A fair queue: a bounded number of items at a time, and a fair order for those that wait.

The keys take turns. So a key with many items delays its own items, and not those of other keys.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from percolator.counts import Counts, count_down, count_up

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Items that wait under keys, and how many of each key are running. Every step is cheap.

    A key that waits although there is room has `per_key` items running: there are few such keys.
    """

    def __init__(self, limit: int, per_key: int) -> None:
        self._limit = limit
        self._per_key = per_key
        self._waiting: dict[str, dict[T, None]] = {}
        self._running: dict[T, str] = {}
        self._running_by_key: Counts = {}

    def is_wanted(self, item: T) -> bool:
        """Return whether another item waits for the place of one that is running."""
        full = len(self._running) >= self._limit
        return bool(self._waiting) if full else self._running[item] in self._waiting

    def add(self, key: str, item: T) -> None:
        """Put an item at the end of its key's queue."""
        self._waiting.setdefault(key, {})[item] = None

    def remove(self, key: str, item: T) -> None:
        """Remove an item, if it is here: it waits no longer, or has finished."""
        if item in self._running:
            del self._running[item]
            count_down(self._running_by_key, key)
            return
        queue = self._waiting.get(key, {})
        queue.pop(item, None)
        if not queue:
            self._waiting.pop(key, None)

    def start(self) -> T | None:
        """Return the next item, which is running from now on; None if none may run now."""
        if len(self._running) >= self._limit:
            return None
        for key, queue in self._waiting.items():
            if self._running_by_key.get(key, 0) < self._per_key:
                item = next(iter(queue))
                del self._waiting[key], queue[item]
                if queue:
                    self._waiting[key] = queue  # its next turn is after that of all other keys
                self._running[item] = key
                count_up(self._running_by_key, key)
                return item
        return None
