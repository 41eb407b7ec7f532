"""Pace: how much of a kind of work may be done per second, however many ask for it."""

import asyncio
from collections.abc import Callable

from percolator.ratelimit import TokenBucket


class Pace:
    """Limits how many things happen per second, and how many may happen at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bucket = TokenBucket(rate, burst, clock())

    async def charge(self, count: int) -> None:
        """Count things that have happened; if there were too many, wait."""
        now = self._clock()
        self._bucket.charge(now, count)
        if self._bucket.paid_at > now:
            await asyncio.sleep(self._bucket.paid_at - now)
