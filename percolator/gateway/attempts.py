"""Attempts: how often each address may try something."""

from percolator.gateway.addresses import tiers
from percolator.ratelimit import TokenBucket


class Attempts:
    """A rate limit per address, and per wider IPv6 network at a multiple of it.

    An address whose limit has recovered uses no memory.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}

    def allow(self, address: str, now: float) -> bool:
        """Count an attempt; return False, and count nothing, if it exceeds a limit."""
        if not self._rate:
            return True
        if self.exhausted(address, now):
            return False
        for key, factor in tiers(address):
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = TokenBucket(self._rate * factor, self._burst * factor, now)
                self._buckets[key] = bucket
            bucket.take(now)
        return True

    def exhausted(self, address: str, now: float) -> bool:
        """Return whether the next attempt would exceed a limit, without counting one."""
        buckets = (self._buckets.get(key) for key, _ in tiers(address))
        return any(bucket is not None and bucket.empty(now) for bucket in buckets)

    def forget(self, now: float) -> None:
        """Drop the addresses whose limit has recovered."""
        for key in [key for key, bucket in self._buckets.items() if bucket.full(now)]:
            del self._buckets[key]

    def __len__(self) -> int:
        return len(self._buckets)
