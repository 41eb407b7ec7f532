"""A cache that is bounded in bytes: what was not used for longest goes first."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RowCache(Generic[K, V]):
    """Values by key, each with the bytes that it counts for."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._values: dict[K, tuple[V, int]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return a value; it is the last one to go now."""
        found = self._values.pop(key, None)
        if found is None:
            return None
        self._values[key] = found
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Add a value, or replace one; a value larger than the whole cache is not kept."""
        self.drop(key)
        if size > self._max_bytes:
            return
        self._values[key] = (value, size)
        self.size += size
        while self.size > self._max_bytes:
            self.drop(next(iter(self._values)))

    def drop(self, key: K) -> None:
        """Forget a value, if it is there."""
        _, size = self._values.pop(key, (None, 0))
        self.size -= size
