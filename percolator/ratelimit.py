"""Rate limits: how often something may happen. No clock: the caller passes the time."""

BREAK_SECONDS = 0.5
"""Seconds out of debt after which the next debt is a new one."""


class TokenBucket:
    """Allows `burst` at once, and `rate` per second on average; a rate of 0 allows everything."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens", "in_debt_since", "paid_at")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1)
        self._tokens = float(self._burst)
        self._at = now
        self.in_debt_since: float | None = None
        """When the first charge without enough tokens was made, None if there is no debt.

        It stays until a charge is made BREAK_SECONDS after the debt was paid.
        """
        self.paid_at = now
        """When the last debt is paid, or was."""

    def take(self, now: float) -> bool:
        """Spend one token; return whether there was one."""
        if not self._rate:
            return True
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def charge(self, now: float, cost: float) -> None:
        """Spend `cost` tokens, at most a whole burst; if there are too few, run into debt."""
        if not self._rate:
            return
        self._refill(now)
        self._tokens -= min(cost, self._burst)
        if now >= self.paid_at + BREAK_SECONDS:
            self.in_debt_since = None
        if self._tokens < 0:
            self.paid_at = now - self._tokens / self._rate
            if self.in_debt_since is None:
                self.in_debt_since = now

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now

    def empty(self, now: float) -> bool:
        """Return whether there is no token to take."""
        return bool(self._rate) and self._tokens + (now - self._at) * self._rate < 1

    def full(self, now: float) -> bool:
        """Return whether the bucket is in the same state as a new one."""
        return self._tokens + (now - self._at) * self._rate >= self._burst
