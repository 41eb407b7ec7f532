"""Liveness: whether the gateway still answers. A quiet line is asked with a ping."""

import asyncio
from collections.abc import Awaitable, Callable

from percolator.errors import GatewayUnreachableError

IDLE_SECONDS = 15.0
"""After this silence the gateway gets a ping;"""
STALE_SECONDS = 5.0
"""if it is unanswered for this long, the connection is stale,"""
DEAD_SECONDS = 9.0
"""and after this long, it is given up."""
LATE_SECONDS = 2.0
"""A timer later than this: the program held up the loop, or the machine was asleep."""


class Liveness:
    """Watches one connection. `on_change` is called when it becomes silent, and when it is not."""

    def __init__(self, ping: Callable[[], Awaitable[None]], on_change: Callable[[], None]) -> None:
        self.silent = False
        """True if a reply is overdue."""
        self._ping = ping
        self._on_change = on_change
        self._clock = asyncio.get_running_loop().time
        self._heard_at = self._clock()
        self._heard = asyncio.Event()

    def heard(self) -> None:
        """Record a sign of life: any message."""
        self._heard_at = self._clock()
        self._heard.set()
        if self.silent:
            self._change(silent=False)

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock() - self._heard_at

    async def watch(self) -> None:
        """Run until the connection is dead. Raises GatewayUnreachableError then."""
        asked_again = False
        while True:
            if self.silence < IDLE_SECONDS:
                await asyncio.sleep(IDLE_SECONDS - self.silence)
                continue
            started = self._clock()
            self._heard.clear()
            if await self._answered(self._ping_and_wait, STALE_SECONDS):
                asked_again = False
                continue
            self._change(silent=True)
            if await self._answered(self._heard.wait, DEAD_SECONDS - STALE_SECONDS):
                asked_again = False
                continue
            late = self._clock() - started > DEAD_SECONDS + LATE_SECONDS
            if asked_again or not late:
                raise GatewayUnreachableError("the gateway stopped responding")
            asked_again = True  # we were away, and it may have answered

    async def _ping_and_wait(self) -> None:
        await self._ping()
        await self._heard.wait()

    async def _answered(self, wait: Callable[[], Awaitable[object]], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await wait()
        except TimeoutError:
            return False
        return True

    def _change(self, *, silent: bool) -> None:
        self.silent = silent
        self._on_change()
