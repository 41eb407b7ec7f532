"""A histogram of times: fixed relative resolution, any number of values, little memory."""

import math
from collections.abc import Iterator

MIN_SECONDS = 1e-6
"""One microsecond; shorter times count as this."""
STEPS = 100
"""Buckets per factor of e: values are accurate to 1 %."""
_SIZE = int(math.log(3_600 / MIN_SECONDS) * STEPS) + 1


class Histogram:
    """Times in seconds, up to an hour."""

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        """The longest time, exactly."""
        self._buckets = [0] * _SIZE

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a time, once or several times."""
        at = int(math.log(seconds / MIN_SECONDS) * STEPS) if seconds > MIN_SECONDS else 0
        self._buckets[at if at < _SIZE else -1] += times
        self.count += times
        self.max = max(self.max, seconds)

    def percentile(self, share: float) -> float:
        """Return the time that `share` (0 to 1) of all do not exceed; 0 if there are none."""
        wanted = math.ceil(self.count * share)
        seen = 0
        for at, times in enumerate(self._buckets):
            seen += times
            if times and seen >= wanted:
                return min(_upper(at), self.max)
        return 0.0

    def bars(self, bounds: list[float]) -> list[int]:
        """Return the count up to each bound and above the previous one, then that above all."""
        counts = [0] * (len(bounds) + 1)
        for upper, times in self.buckets():
            at = next((i for i, bound in enumerate(bounds) if upper <= bound), len(bounds))
            counts[at] += times
        return counts

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Yield upper bound and count of each bucket that is not empty."""
        for at, times in enumerate(self._buckets):
            if times:
                yield _upper(at), times


def _upper(at: int) -> float:
    return MIN_SECONDS * math.exp((at + 1) / STEPS)
