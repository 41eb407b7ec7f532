"""How often an address may try something."""

from percolator.ratelimit import TokenBucket


class Attempts:
    """How often each address may try to connect. An address that is quiet again is forgotten."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, address: str, now: float) -> bool:
        """Count an attempt; False where it is one too many."""
        if not self._rate:
            return True
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._rate, self._burst, now)
        return bucket.take(now)

    def exhausted(self, address: str, now: float) -> bool:
        """True where the next attempt would be one too many; counts nothing."""
        bucket = self._buckets.get(address)
        return bucket is not None and bucket.empty(now)

    def forget(self, now: float) -> None:
        """Drop the addresses that have been quiet for long enough."""
        for address in [key for key, bucket in self._buckets.items() if bucket.full(now)]:
            del self._buckets[address]

    def __len__(self) -> int:
        return len(self._buckets)
