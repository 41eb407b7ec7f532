"""Watches the feed: whether the gateway hears from NATS, which its clients are told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

STALE_SECONDS = 2.0
"""Seconds without a sign of life after which a feed is stale; it has one every half second."""
CHECK_SECONDS = 0.25
LATE_SECONDS = 0.5
"""A check that is later than this says nothing: the loop was busy, and may have events to read."""


class WatchedFeed(Protocol):
    """What shows whether a feed is well."""

    connected: bool

    @property
    def trouble(self) -> str:
        """Why it is not reading; empty while it is."""

    @property
    def seq(self) -> int:
        """The last seq that was passed on."""

    @property
    def lag(self) -> int:
        """Events of the stream that have not been passed on yet."""

    @property
    def silent_for(self) -> float:
        """Seconds since its last sign of life."""


def is_stale(feed: WatchedFeed) -> bool:
    """Return whether a feed has been silent for too long; one without a connection is silent."""
    return feed.silent_for > STALE_SECONDS


class FeedWatch:
    """Notes when the feed becomes stale, and when it is live again: once it has caught up."""

    def __init__(self, feed: WatchedFeed, wall: Callable[[], int]) -> None:
        """`wall` returns Unix milliseconds."""
        self.stale_since: int | None = None
        """When the last sign of life was, in Unix milliseconds; None while the feed is live."""
        self._feed = feed
        self._wall = wall
        self._target: int | None = None
        """The seq at which it has caught up; None until it reads again."""

    async def run(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Check the feed again and again; await `changed` after each change."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + CHECK_SECONDS
            await asyncio.sleep(CHECK_SECONDS)
            if loop.time() < due + LATE_SECONDS and self.check():
                await changed()

    def check(self) -> bool:
        """Look at the feed; return whether its state has changed."""
        was_live = self.stale_since is None
        if was_live and is_stale(self._feed):
            self.stale_since = self._wall() - int(self._feed.silent_for * 1_000)
            self._target = None
        elif not was_live and self._has_caught_up():
            self.stale_since = None
        return was_live != (self.stale_since is None)

    def _has_caught_up(self) -> bool:
        feed = self._feed
        if not feed.connected or feed.trouble or is_stale(feed):
            self._target = None
            return False
        if self._target is None:
            self._target = feed.seq + feed.lag
        return feed.seq >= self._target
