"""Rate limits: how often something may happen. No clock: the caller gives the time."""


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
