"""The watch over the feed: when it is stale, since when, and when it is live again."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from percolator.app import feed_watch
from percolator.app.feed_watch import STALE_SECONDS, FeedWatch

WALL_MS = 1_700_000_000_000


@dataclass
class Feed:
    """The state of a healthy feed."""

    connected: bool = True
    trouble: str = ""
    seq: int = 7
    lag: int = 0
    silent_for: float = 0.25


@dataclass
class Watched:
    """A feed, and the watch over it."""

    feed: Feed
    watch: FeedWatch

    def sees(self, **changes: object) -> int | None:
        """Change the feed, and return since when it is stale."""
        for name, value in changes.items():
            setattr(self.feed, name, value)
        before = self.watch.stale_since
        assert self.watch.check() == (self.watch.stale_since != before)
        return self.watch.stale_since


@pytest.fixture
def watched() -> Watched:
    """Return a feed that is well."""
    feed = replace(Feed())
    return Watched(feed, FeedWatch(feed, lambda: WALL_MS))


def test_a_silent_feed_is_stale_since_its_last_sign_of_life(watched: Watched) -> None:
    """The time stays the same while it is stale."""
    assert watched.sees() is None
    assert watched.sees(silent_for=STALE_SECONDS) is None
    since = WALL_MS - 2_500
    assert watched.sees(silent_for=2.5, connected=False, trouble="refused") == since
    assert watched.sees(silent_for=9.0) == since


def test_a_connection_that_is_replaced_quickly_changes_nothing(watched: Watched) -> None:
    """A failover to another server is no news."""
    assert watched.sees(connected=False, trouble="closed", silent_for=1.5) is None
    assert watched.sees(connected=True, trouble="", silent_for=0.1) is None


def test_a_feed_is_live_again_once_it_has_read_what_it_missed(watched: Watched) -> None:
    """What comes meanwhile is not waited for, or a busy stream would never be live."""
    since = watched.sees(silent_for=2.5, connected=False, trouble="refused")
    assert since is not None
    assert watched.sees(silent_for=0.1, connected=True) == since
    assert watched.sees(trouble="", lag=10) == since
    assert watched.sees(seq=16, lag=500) == since
    assert watched.sees(seq=17, lag=600) is None


def test_a_feed_that_fails_again_while_it_catches_up_has_another_place_to_reach(
    watched: Watched,
) -> None:
    """The stream may have grown, or been replaced."""
    since = watched.sees(silent_for=2.5, connected=False, trouble="refused")
    assert watched.sees(silent_for=0.1, connected=True, trouble="", lag=10) == since
    assert watched.sees(trouble="the consumer has gone silent") == since
    assert watched.sees(trouble="", lag=1) == since
    assert watched.sees(seq=8, lag=0) is None


async def test_a_change_is_reported_and_a_late_check_says_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was busy may have the sign of life in its sockets, unread."""
    seen: list[int | None] = []
    changed, slept = asyncio.Event(), asyncio.Semaphore(0)
    pause = asyncio.sleep

    async def sleep(_seconds: float) -> None:
        slept.release()
        await pause(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def report() -> None:
        seen.append(watched.watch.stale_since)
        changed.set()

    monkeypatch.setattr(feed_watch, "LATE_SECONDS", -1)
    running = asyncio.create_task(watched.watch.run(report))
    watched.feed.silent_for = 2.5
    for _ in range(5):  # checks, each of which counts as late
        await slept.acquire()
    assert seen == []
    monkeypatch.setattr(feed_watch, "LATE_SECONDS", 10)
    await changed.wait()
    assert seen == [WALL_MS - 2_500]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
