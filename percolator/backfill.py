"""Backfill: brings a client from where it left to where the logs begin, out of the stream.

Between the hub, which holds the client's cursor, and the stream, which still has what the logs
have let go. Bounded: so many replays at once, so many events each; past that, and where the stream
itself has dropped something, the client gets a gap that says so.
"""

import asyncio
import logging
from typing import Protocol

from percolator import protocol
from percolator.errors import EventError, NatsError
from percolator.events import Event, decode, subject_of
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.log import LosslessLog
from percolator.jetstream.direct import Stored
from percolator.jetstream.replay import Beginning

MAX_REPLAYS = 8
LOW_WATER = 250
"""With fewer events left to send, the next page is fetched."""
PAUSE_SECONDS = 0.1
RETRY_SECONDS = 30.0
"""A NATS that does not answer is asked again, for so long."""
STALE_SECONDS = 2.0
"""A replica that lags behind what the gateway has read is asked again, for so long."""

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where deep history comes from."""

    async def beginning(self, subject: str, after: int) -> Beginning:
        """See what a replay can rest on."""

    async def page(self, subject: str, after: int) -> list[Stored]:
        """Give the next events after a seq; none where there are none just now."""


class Backfill:
    """All replays of a gateway."""

    def __init__(self, hub: Hub, source: Source) -> None:
        self.running = 0
        self.total = 0
        """Replays started."""
        self.hub = hub
        self.source = source
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, cursor: Cursor, logs: list[LosslessLog], most: int | None) -> None:
        """Begin to send a client what it lacks of the logs that it is held for.

        `most` events are sent in all; None is no limit.
        """
        if self.running >= MAX_REPLAYS:
            for held in logs:
                self.hub.release(cursor, held)
            return
        self.running += 1
        self.total += 1
        task = asyncio.get_running_loop().create_task(self._run(cursor, logs, most))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End all replays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.running -= 1
        if not task.cancelled() and (error := task.exception()):
            log.error("a replay failed", exc_info=error)

    async def _run(self, cursor: Cursor, logs: list[LosslessLog], left: int | None) -> None:
        try:
            for held in logs:
                if held not in cursor.held:
                    continue
                channel = Channel(self, cursor, held, left)
                await channel.run()
                left = None if left is None else left - channel.sent
                self.hub.release(cursor, held)
        finally:
            for held in logs:
                self.hub.release(cursor, held)


class Channel:
    """One channel's replay to one client."""

    def __init__(
        self, backfill: Backfill, cursor: Cursor, held: LosslessLog, most: int | None
    ) -> None:
        self.sent = 0
        """How many events were added."""
        self._hub = backfill.hub
        self._source = backfill.source
        self._cursor = cursor
        self._log = held
        self._history = cursor.held[held]
        self._most = most
        self._subject = subject_of(held.kind, held.slab)
        self._prev: int | None = None
        self._gap = False
        self._shorter = asyncio.Event()
        self._history.wanted = self._shorter.set

    def _wanted(self) -> bool:
        """True for as long as the client is there and has not gone over to the log."""
        return self._cursor.held.get(self._log) is self._history

    async def run(self) -> None:
        """Add what the client lacks until its log takes over, it is gone, or a bound is met."""
        tries = Tries(RETRY_SECONDS)
        begun = False
        while self._wanted():
            try:
                if not begun:
                    await self._begin()
                    begun = True
                if await self._fill():
                    return
            except NatsError as error:
                if not tries.more():
                    log.warning("a replay ended with a gap: %s", error)
                    return
                await asyncio.sleep(PAUSE_SECONDS)

    async def _begin(self) -> None:
        """Find what comes before the first event, and whether the stream still has that one."""
        beginning = await self._source.beginning(self._subject, self._history.covered)
        self._gap = not beginning.whole
        if beginning.last is not None:
            valid = _event(beginning.last) is not None
            self._prev = beginning.last.seq if valid else None
        elif beginning.complete:
            self._prev = 0

    async def _fill(self) -> bool:
        """Fetch pages until the log holds the rest. True where that is done, or a bound is met."""
        tries = Tries(STALE_SECONDS)
        while self._wanted():
            asked = self._hub.seq
            page = await self._source.page(self._subject, self._history.covered)
            if not page and self._behind_the_log():
                if not tries.more():
                    return True
                await asyncio.sleep(PAUSE_SECONDS)  # a replica that lags: it will have it soon
                continue
            if not self._add(page, asked):
                return True
            self._hub.supply(self._cursor)
            while self._wanted() and (
                len(self._history) > LOW_WATER or self._log.reaches(self._history.covered)
            ):
                self._shorter.clear()
                await self._shorter.wait()
        return True

    def _behind_the_log(self) -> bool:
        """True where the log knows of an event before its first that no page has had."""
        first_prev = self._log.first_prev
        return first_prev is not None and first_prev > self._history.covered

    def _add(self, page: list[Stored], asked: int) -> bool:
        """Add a page, after a gap where the stream has dropped what was before; False: enough."""
        history = self._history
        if self._gap:
            if not page or self._log.reaches(page[0].seq):
                return False  # the log reaches back further than the stream: it tells of the gap
            self._gap, before = False, page[0].seq
            history.add(history.covered, protocol.gap(self._log.channel, history.covered, before))
        for stored in page:
            event = _event(stored)
            if event is not None:
                if self._most is not None and self.sent >= self._most:
                    return False
                history.add(stored.seq, protocol.event_message(event, stored.seq, self._prev))
                self._prev = stored.seq
                self.sent += 1
            history.covered = stored.seq
        if not page:
            history.covered = max(history.covered, asked)
        return True


class Tries:
    """Says for how long something is tried again."""

    def __init__(self, seconds: float) -> None:
        self._left = int(seconds / PAUSE_SECONDS)

    def more(self) -> bool:
        """True until the time is up; to be asked once a pause."""
        self._left -= 1
        return self._left >= 0


def _event(stored: Stored) -> Event | None:
    """Decode an event as the feed would have; None where it would have been rejected."""
    try:
        return decode(stored.subject, stored.payload)
    except EventError:
        return None
