"""Rate limits: how often something may happen. No clock: the caller passes the time."""


class TokenBucket:
    """Allows `burst` at once, and `rate` per second on average; a rate of 0 allows everything."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1)
        self._tokens = float(self._burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Spend one token; return whether there was one."""
        if not self._rate:
            return True
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def charge(self, now: float, cost: float) -> bool:
        """Spend `cost` tokens; return whether there were that many.

        If not, one token is spent all the same: what is refused has a price too. So the balance of
        a caller that does not slow down falls below 0, and it can be told by that.
        """
        if not self._rate:
            return True
        cost = min(cost, self._burst)  # otherwise a large cost could never be met
        self._refill(now)
        enough = self._tokens >= cost
        self._tokens -= cost if enough else 1
        return enough

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now

    @property
    def balance(self) -> float:
        """The tokens that were left by the last call; less than 0 after refused charges."""
        return self._tokens

    def empty(self, now: float) -> bool:
        """Return whether there is no token to take."""
        return bool(self._rate) and self._tokens + (now - self._at) * self._rate < 1

    def full(self, now: float) -> bool:
        """Return whether the bucket is in the same state as a new one."""
        return self._tokens + (now - self._at) * self._rate >= self._burst
