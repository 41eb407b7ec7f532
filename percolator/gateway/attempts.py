"""Attempts: how often each address may try something."""

from percolator.ratelimit import TokenBucket


class Attempts:
    """A rate limit per address. An address whose limit has recovered uses no memory."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}

    def allow(self, address: str, now: float) -> bool:
        """Count an attempt; return False if it exceeds the limit."""
        if not self._rate:
            return True
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._rate, self._burst, now)
        return bucket.take(now)

    def exhausted(self, address: str, now: float) -> bool:
        """Return whether the next attempt would exceed the limit, without counting one."""
        bucket = self._buckets.get(address)
        return bucket is not None and bucket.empty(now)

    def forget(self, now: float) -> None:
        """Drop the addresses whose limit has recovered."""
        for address in [key for key, bucket in self._buckets.items() if bucket.full(now)]:
            del self._buckets[address]

    def __len__(self) -> int:
        return len(self._buckets)
