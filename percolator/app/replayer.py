"""Replayer: sends a client what the stream has from where it left off to where the logs begin.

Between the hub, which holds the client's cursor, and the stream, which still has what the logs
have let go. A client has one replay at a time, of which one page waits to be sent, so what slow
clients hold is bounded by their number. Pages are fetched in turn by address. If the stream has
dropped something, or the request has had all that it may get, the client gets a gap that says so.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from percolator.app.fair_slots import FairSlots
from percolator.errors import EventError, NatsError
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.jetstream.direct import Stored
from percolator.jetstream.liveness import raise_if_cancelled
from percolator.jetstream.replay import Page
from percolator.model import events, messages
from percolator.model.channel import Channel
from percolator.model.events import Decode
from percolator.model.kinds import Event

MAX_FETCHES = 4
"""Pages that are fetched at once."""
REST = 2.0
"""How long a slot rests after a page, as a factor of the CPU time that passed meanwhile.

So all replays together take at most a third of the CPU, and less if others need it.
"""
LOW_WATER = 32
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

    def __init__(
        self,
        hub: Hub,
        source: Source,
        decode: Decode = events.decode,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """`cpu` returns the CPU seconds that this thread has used."""
        self.total = 0
        """Replays started."""
        self.hub = hub
        self.source = source
        self.decode = decode
        self.cpu = cpu
        self.slots = FairSlots(MAX_FETCHES)
        self._requests: dict[Cursor, deque[_Request]] = {}
        """The requests of each client with a replay; the first is being replayed."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many clients have a replay."""
        return len(self._requests)

    def start(
        self, cursor: Cursor, logs: list[LosslessLog], limit: int | None, address: str
    ) -> None:
        """Begin to send a client what comes before the logs that it is replaying.

        At most `limit` events are sent in all, if it is not None. `address` is the key that the
        client is counted under.
        """
        self.total += 1
        # A client that leaves a channel and resumes it gets another buffer, and another replay.
        wanted = [cursor.replaying[log] for log in logs if log in cursor.replaying]
        requests = self._requests.setdefault(cursor, deque())
        requests.append(_Request(wanted, limit))
        if len(requests) > 1:
            self._drop_stale(cursor, requests)
        else:
            task = asyncio.get_running_loop().create_task(self._run(cursor, requests, address))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    @staticmethod
    def _drop_stale(cursor: Cursor, requests: "deque[_Request]") -> None:
        """Drop what waits and is of channels that the client has left meanwhile."""
        running, *waiting = requests
        requests.clear()
        requests.append(running)
        for request in waiting:
            if any(cursor.replaying.get(buffer.log) is buffer for buffer in request.wanted):
                requests.append(request)

    async def stop(self) -> None:
        """End all replays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a replay failed", exc_info=error)

    async def _run(self, cursor: Cursor, requests: "deque[_Request]", address: str) -> None:
        """Replay what a client has asked for, one request after the other."""
        try:
            while requests:
                await self._replay(cursor, requests[0], address)
                requests.popleft()
        finally:
            del self._requests[cursor]
            for request in requests:
                for buffer in request.wanted:
                    self.hub.finish_replay(cursor, buffer)

    async def _replay(self, cursor: Cursor, request: "_Request", address: str) -> None:
        left = request.limit
        for buffer in request.wanted:
            replay, channel = ChannelReplay(self, cursor, buffer, left, address), buffer.log.channel
            logger.debug("replay of %s started after seq %d", channel, buffer.fetched_through)
            await replay.run()
            text = "replay of %s ended at seq %d, %d events sent"
            logger.debug(text, channel, buffer.fetched_through, replay.sent)
            left = None if left is None else left - replay.sent
            self.hub.finish_replay(cursor, buffer)


class _Request(NamedTuple):
    """What a client lacks of some channels, and how many events it may get; None: all."""

    wanted: list[ReplayBuffer]
    limit: int | None


class ChannelReplay:
    """One channel's replay to one client."""

    def __init__(
        self,
        replayer: Replayer,
        cursor: Cursor,
        buffer: ReplayBuffer,
        limit: int | None,
        address: str,
    ) -> None:
        self.sent = 0
        """Events that were added."""
        self._hub = replayer.hub
        self._source = replayer.source
        self._decode = replayer.decode
        self._slots = replayer.slots
        self._cpu = replayer.cpu
        self._address = address
        self._cursor = cursor
        self._log = buffer.log
        self._channel = buffer.log.channel
        self._buffer = buffer
        self._limit = limit
        self._last: Stored | None = None
        self._prevs: dict[Channel, int] = {}
        self._first_prev: int | None = None
        """The prev of a channel's first event, if it is not in `_prevs`."""
        self._gap = False
        self._shorter = asyncio.Event()
        self._buffer.on_drained = self._shorter.set

    def _wanted(self) -> bool:
        """True while the client is connected and has not reached the log."""
        return self._cursor.replaying.get(self._log) is self._buffer

    async def run(self) -> None:
        """Add what the client lacks until its log takes over, it is gone, or a bound is met."""
        failures = 0
        while await self._room():
            raise_if_cancelled()
            try:
                async with self._slots.slot(self._address):
                    more = await self._fetch()
            except NatsError as error:
                # While NATS is not connected nothing is lost, so that does not count as a failure.
                failures += self._source.connected
                if failures >= TRIES:
                    logger.warning("a replay ended with a gap: %s", error)
                    return
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            failures = 0
            if not more:
                return

    async def _fetch(self) -> bool:
        """Add the next page; return False if nothing more is wanted. Raises NatsError."""
        began = self._cpu()
        asked = self._hub.book.seq
        page = await self._source.page(
            self._channel.subject, self._buffer.fetched_through, self._last
        )
        if not self._wanted() or not self._add(page, asked):
            return False
        self._hub.notify_replay(self._cursor)
        no_progress = not page.events and not page.end
        await asyncio.sleep(PAUSE_SECONDS if no_progress else (self._cpu() - began) * REST)
        return True

    async def _room(self) -> bool:
        """Wait until there is room for more; return False if nothing more is wanted."""
        while self._wanted() and (
            self._cursor.paused
            or len(self._buffer) > LOW_WATER
            or self._log.reaches(self._buffer.fetched_through)
        ):
            self._shorter.clear()
            await self._shorter.wait()
        return self._wanted()

    def _add(self, page: Page, asked: int) -> bool:
        """Add a page, after a gap if the stream dropped what was before. False if that is all."""
        if self._last is None:
            self._first_prev = 0 if page.first else None
            if page.last is not None:
                self._note_prev(page.last)
        self._last = page.events[-1] if page.events else page.last
        self._gap = self._gap or not page.whole
        if self._gap:
            if not page.events or self._log.reaches(page.events[0].seq - 1):
                return False  # the log reaches back further than the stream: it tells of the gap
            self._tell_gap(page.events[0].seq)
        for number, stored in enumerate(page.events):
            if number and stored.seq in page.lost:
                self._tell_gap(stored.seq)
            if not self._add_event(stored):
                return False
        if page.end:
            self._buffer.fetched_through = max(self._buffer.fetched_through, asked)
        return True

    def _tell_gap(self, before: int) -> None:
        self._prevs.clear()
        self._first_prev = None
        after = self._buffer.fetched_through
        self._buffer.add(after, messages.gap(self._log.channel, after, before))
        self._gap = False

    def _add_event(self, stored: Stored) -> bool:
        found = self._decoded(stored)
        if found is not None and not self._is_read_apart(found[0]):
            if self._limit is not None and self.sent >= self._limit:
                return False
            channel, event = found
            prev = self._prevs.get(channel, self._first_prev)
            self._buffer.add(stored.seq, messages.event_message(event, stored.seq, prev))
            self._prevs[channel] = stored.seq
            self.sent += 1
        self._buffer.fetched_through = stored.seq
        return True

    def _is_read_apart(self, channel: Channel) -> bool:
        """True for a market of a wildcard that the client reads by name."""
        return self._channel.is_wildcard and channel in self._cursor.apart

    def _note_prev(self, stored: Stored) -> None:
        found = self._decoded(stored)
        if found is not None:
            self._prevs[found[0]] = stored.seq

    def _decoded(self, stored: Stored) -> tuple[Channel, Event] | None:
        """Decode an event as the feed would have; None if it would have been rejected."""
        try:
            channel = Channel.of_subject(stored.subject)
            if channel is None:
                return None
            return channel, self._decode(channel, stored.payload, stored.ms)
        except EventError:
            return None
