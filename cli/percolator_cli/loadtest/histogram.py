"""A histogram of times: fixed relative resolution, any number of values, little memory."""

import math
from collections.abc import Iterator

LEAST = 1e-6
"""What is shorter counts as this: a microsecond."""
STEPS = 100
"""Buckets in a factor of e: a value is known to a hundredth of itself."""
_SIZE = int(math.log(3_600 / LEAST) * STEPS) + 1


class Histogram:
    """Times in seconds, up to an hour."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        """The longest, exactly."""
        self._buckets = [0] * _SIZE

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a time."""
        at = int(math.log(seconds / LEAST) * STEPS) if seconds > LEAST else 0
        self._buckets[at if at < _SIZE else -1] += times
        self.count += times
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """Give the time that `share` (0 to 1) of all do not exceed; 0 where there are none."""
        wanted = math.ceil(self.count * share)
        seen = 0
        for at, times in enumerate(self._buckets):
            seen += times
            if times and seen >= wanted:
                return min(_upper(at), self.most)
        return 0.0

    def bars(self, bounds: list[float]) -> list[int]:
        """Count what lies up to each bound, and above the one before; one more is past the last."""
        counts = [0] * (len(bounds) + 1)
        for upper, times in self.buckets():
            at = next((i for i, bound in enumerate(bounds) if upper <= bound), len(bounds))
            counts[at] += times
        return counts

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Give upper bound and count of each bucket that is not empty."""
        for at, times in enumerate(self._buckets):
            if times:
                yield _upper(at), times


def _upper(at: int) -> float:
    return LEAST * math.exp((at + 1) / STEPS)
