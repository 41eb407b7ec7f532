"""Replayer: sends a client what the stream has from where it left off to where the logs begin.

Between the hub, which holds the client's cursor, and the stream, which still has what the logs
have let go. Bounded: replays at once, and events per replay; past that, and if the stream
itself has dropped something, the client gets a gap that says so.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from percolator.errors import EventError, NatsError
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.jetstream.direct import Stored
from percolator.jetstream.liveness import raise_if_cancelled
from percolator.jetstream.replay import Page
from percolator.model import events, messages
from percolator.model.events import Decode
from percolator.model.kinds import Event

MAX_REPLAYS = 8
LOW_WATER = 250
"""With fewer events left to send, the next page is fetched."""
PAUSE_SECONDS = 0.1
TRIES = 20
"""Failures in a row, of a NATS that is connected, that end a replay."""

logger = logging.getLogger(__name__)


class Source(Protocol):
    """The source of events that are older than the logs."""

    @property
    def connected(self) -> bool:
        """True while NATS is connected."""

    async def page(self, subject: str, after: int, last: Stored | None) -> Page:
        """Return the next events after a seq; `last` is the one before, if it is known."""


class Replayer:
    """All replays of a gateway."""

    def __init__(self, hub: Hub, source: Source, decode: Decode = events.decode) -> None:
        self.running = 0
        self.total = 0
        """Replays started."""
        self.hub = hub
        self.source = source
        self.decode = decode
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, cursor: Cursor, logs: list[LosslessLog], limit: int | None) -> None:
        """Begin to send a client what comes before the logs that it is replaying.

        At most `limit` events are sent in all, if it is not None.
        """
        # A client that leaves a channel and resumes it gets another buffer, and another replay.
        wanted = {held: cursor.replaying[held] for held in logs if held in cursor.replaying}
        if self.running >= MAX_REPLAYS:
            self._release(cursor, wanted.values())
            return
        self.running += 1
        self.total += 1
        task = asyncio.get_running_loop().create_task(self._run(cursor, wanted, limit))
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
            logger.error("a replay failed", exc_info=error)

    def _release(self, cursor: Cursor, histories: Iterable[ReplayBuffer]) -> None:
        for buffer in histories:
            self.hub.finish_replay(cursor, buffer)

    async def _run(
        self, cursor: Cursor, wanted: dict[LosslessLog, ReplayBuffer], left: int | None
    ) -> None:
        try:
            for held, buffer in wanted.items():
                channel = ChannelReplay(self, cursor, held, buffer, left)
                start = buffer.fetched_through
                logger.debug("replay of %s started after seq %d", held.channel, start)
                await channel.run()
                text = "replay of %s ended at seq %d, %d events sent"
                logger.debug(text, held.channel, buffer.fetched_through, channel.sent)
                left = None if left is None else left - channel.sent
                self.hub.finish_replay(cursor, buffer)
        finally:
            self._release(cursor, wanted.values())


class ChannelReplay:
    """One channel's replay to one client."""

    def __init__(
        self,
        replayer: Replayer,
        cursor: Cursor,
        held: LosslessLog,
        buffer: ReplayBuffer,
        limit: int | None,
    ) -> None:
        self.sent = 0
        """Events that were added."""
        self._hub = replayer.hub
        self._source = replayer.source
        self._decode = replayer.decode
        self._cursor = cursor
        self._log = held
        self._channel = held.channel
        self._buffer = buffer
        self._limit = limit
        self._last: Stored | None = None
        self._prev: int | None = None
        self._gap = False
        self._shorter = asyncio.Event()
        self._buffer.on_drained = self._shorter.set

    def _wanted(self) -> bool:
        """True while the client is connected and has not reached the log."""
        return self._cursor.replaying.get(self._log) is self._buffer

    async def run(self) -> None:
        """Add what the client lacks until its log takes over, it is gone, or a bound is met."""
        failures = 0
        while self._wanted():
            raise_if_cancelled()
            try:
                asked = self._hub.book.seq
                page = await self._source.page(
                    self._channel.subject, self._buffer.fetched_through, self._last
                )
            except NatsError as error:
                # While NATS is not connected nothing is lost, so that does not count as a failure.
                failures += self._source.connected
                if failures >= TRIES:
                    logger.warning("a replay ended with a gap: %s", error)
                    return
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            failures = 0
            if not self._wanted() or not self._add(page, asked):
                return
            if not page.events and not page.end:
                await asyncio.sleep(PAUSE_SECONDS)
            self._hub.notify_replay(self._cursor)
            await self._room()

    async def _room(self) -> None:
        """Wait until there is room for more, or nothing more is wanted."""
        while self._wanted() and (
            len(self._buffer) > LOW_WATER or self._log.reaches(self._buffer.fetched_through)
        ):
            self._shorter.clear()
            await self._shorter.wait()

    def _add(self, page: Page, asked: int) -> bool:
        """Add a page, after a gap if the stream dropped what was before. False if that is all."""
        if self._last is None:
            self._prev = 0 if page.first else self._valid_seq(page.last)
        self._last = page.events[-1] if page.events else page.last
        if not page.whole:
            self._prev, self._gap = None, True
        if self._gap:
            if not page.events or self._log.reaches(page.events[0].seq - 1):
                return False  # the log reaches back further than the stream: it tells of the gap
            self._tell_gap(page.events[0].seq)
        for stored in page.events:
            if not self._add_event(stored):
                return False
        if page.end:
            self._buffer.fetched_through = max(self._buffer.fetched_through, asked)
        return True

    def _tell_gap(self, before: int) -> None:
        after = self._buffer.fetched_through
        self._buffer.add(after, messages.gap(self._log.channel, after, before))
        self._gap = False

    def _add_event(self, stored: Stored) -> bool:
        event = self._decoded(stored)
        if event is not None:
            if self._limit is not None and self.sent >= self._limit:
                return False
            frame = messages.event_message(event, stored.seq, self._prev)
            self._buffer.add(stored.seq, frame)
            self._prev = stored.seq
            self.sent += 1
        self._buffer.fetched_through = stored.seq
        return True

    def _valid_seq(self, stored: Stored | None) -> int | None:
        return None if stored is None or self._decoded(stored) is None else stored.seq

    def _decoded(self, stored: Stored) -> Event | None:
        """Decode an event as the feed would have; None if it would have been rejected."""
        try:
            return self._decode(self._channel, stored.payload)
        except EventError:
            return None
