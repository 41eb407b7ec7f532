"""Limits: who may come in, who may subscribe to what, and how often one may speak.

Every check and every release is O(1). A limit of 0 is switched off. What is counted up is
counted down by the same call's counterpart, once, and a count that reaches zero leaves no trace.
"""

from percolator.errors import RequestError
from percolator.model import messages

Counts = dict[str, int]


def _up(counts: Counts, key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _down(counts: Counts, key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]


class SlabLimits:
    """How many distinct clients a slab has over all its channels; how many channels a client."""

    def __init__(self, *, per_slab: int, channels_per_client: int) -> None:
        self.clients: Counts = {}
        """The number of clients on each slab."""
        self._per_slab = per_slab
        self._channels_per_client = channels_per_client

    def enter(self, slabs: Counts, channel: str, slab: str) -> None:
        """Count one more channel for the client with these `slabs`.

        Raises RequestError, `channel_limit` or `slab_limit`; then nothing is counted.
        """
        if self._channels_per_client and sum(slabs.values()) >= self._channels_per_client:
            raise RequestError("channel_limit", messages.ERRORS["channel_limit"], channel)
        if slab not in slabs:
            if self._per_slab and self.clients.get(slab, 0) >= self._per_slab:
                raise RequestError("slab_limit", messages.ERRORS["slab_limit"], channel)
            _up(self.clients, slab)
        _up(slabs, slab)

    def leave(self, slabs: Counts, slab: str) -> None:
        """Count one channel less; the client leaves the slab with the last."""
        _down(slabs, slab)
        if slab not in slabs:
            _down(self.clients, slab)


class Admission:
    """How many connections there are, in all and from each address."""

    def __init__(self, *, connections: int, per_address: int) -> None:
        self.total = 0
        self.by_address: Counts = {}
        self._connections = connections
        self._per_address = per_address

    def admit(self, address: str) -> messages.Close | None:
        """Reserve a place, which must be released once; where there is none, say why."""
        if self._connections and self.total >= self._connections:
            return messages.CLOSE_CONNECTIONS
        if self._per_address and self.by_address.get(address, 0) >= self._per_address:
            return messages.CLOSE_CONNECTIONS_PER_IP
        self.total += 1
        _up(self.by_address, address)
        return None

    def release(self, address: str) -> None:
        """Give a place back."""
        _down(self.by_address, address)
        self.total -= 1


class TokenBucket:
    """At most `burst` at once, and `rate` a second in the long run; a rate of 0 never refuses."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1)
        self._tokens = float(self._burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        if not self._rate:
            return True
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def empty(self, now: float) -> bool:
        """True where there is no token to take."""
        return bool(self._rate) and self._tokens + (now - self._at) * self._rate < 1

    def full(self, now: float) -> bool:
        """True where it is as good as a new one."""
        return self._tokens + (now - self._at) * self._rate >= self._burst


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
