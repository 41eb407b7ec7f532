"""The history of events: pages of one lossless channel, read from the stream as the feed reads it.

Whatever a page is asked for by, it starts with the event before it, so that `prev` is right, and
the stream's leader confirms that it lacks nothing at its end. An event that is not valid is not
shown.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from percolator.errors import EventError, NatsUnreachableError
from percolator.jetstream import stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored
from percolator.jetstream.feed import Feed
from percolator.jetstream.liveness import raise_if_cancelled
from percolator.jetstream.replay import Replay
from percolator.jetstream.subject_history import PAGE, SubjectHistory
from percolator.model.channel import Channel
from percolator.model.events import Decode
from percolator.model.fields import encoded, event_fields
from percolator.model.kinds import Event
from percolator.model.queries import EventsQuery

MAX_EVENTS = 4_000
"""Events that are read for one page: those that are not valid are no rows of it."""

Charge = Callable[[int], Awaitable[None]]
"""Counts messages that were read, and waits if there were too many recently."""


class EventsPage(NamedTuple):
    """Events of one channel as JSON, the newest last."""

    epoch: str
    rows: list[bytes]
    next: dict[str, int] | None
    """Where the page after this one starts, as parameters of a query; None if this is the last."""
    final: bool
    """True if the same query has the same events in this epoch, as long as the stream has them."""


class EventHistory:
    """Reads pages of channels."""

    def __init__(self, replay: Replay, name: str, decode: Decode, charge: Charge) -> None:
        """`name` is that of the stream; `charge` is called with the messages of each answer."""
        self._replay = replay
        self._name = name
        self._decode = decode
        self._charge = charge

    async def page(self, channel: Channel, query: EventsQuery) -> EventsPage:
        """Return a page. Raises NatsUnreachableError."""
        return await self._replay.ask(partial(self._page, channel=channel, query=query))

    async def _page(
        self, client: NatsClient, feed: Feed, channel: Channel, query: EventsQuery
    ) -> EventsPage:
        epoch = feed.epoch
        history = SubjectHistory(client, self._name, channel.subject)
        page = _Reader(history, channel, self._decode, self._charge, query.limit)
        if query.after is not None:
            await page.read_from(query.after + 1)
        elif query.since is not None:
            if first := (await history.since(query.since, 1)).events:
                await page.read_from(first[0].seq)
        else:
            await page.read_before(query.before)
        # Asked last: what was read belongs to the stream that is there now.
        state = await stream.state(client, self._name)
        if state.epoch != feed.created or feed.epoch != epoch:
            raise NatsUnreachableError("the stream was replaced")
        if page.is_first and state.complete and page.rows:
            page.rows[0] = page.rows[0]._replace(prev=0)
        if query.before is not None:
            final = query.before <= state.last_seq + 1
        else:
            final = "after" in (page.next or ())
        return EventsPage(epoch, [row.json for row in page.rows], page.next, final)


class _Row(NamedTuple):
    """One event of a page."""

    event: Event
    seq: int
    prev: int | None

    @property
    def json(self) -> bytes:
        """The row as clients get it."""
        return encoded(event_fields(self.event, self.seq, self.prev), self.event)


class _Reader:
    """One page, while it is read."""

    def __init__(
        self, history: SubjectHistory, channel: Channel, decode: Decode, charge: Charge, limit: int
    ) -> None:
        self.rows: list[_Row] = []
        self.next: dict[str, int] | None = None
        self.is_first = False
        """True if there is no message before the first row's."""
        self._history = history
        self._channel = channel
        self._decode = decode
        self._charge = charge
        self._limit = limit
        self._prev: int | None = None

    async def read_from(self, seq: int) -> None:
        """Read the first events at a seq or later, up to the newest that there is now.

        So a page ends, however fast events arrive.
        """
        newest = await self._history.newest()
        end = newest.seq if newest else 0
        last = await self._history.newest_before(seq)
        self._start(last)
        read, reached = 0, seq - 1
        while reached < end:
            raise_if_cancelled()
            events, _ = await self._history.at(last.seq if last else seq, PAGE + 1)
            await self._charge(len(events))
            if last is not None and events[:1] == [last]:
                del events[0]
            elif last is not None:
                self._prev = None  # the stream has dropped something meanwhile
            if not events and (
                later := await self._history.next_after(last.seq if last else seq - 1)
            ):
                events = [later]  # a replica that lags has answered
            for stored in events:
                if len(self.rows) == self._limit:
                    self.next = {"after": self.rows[-1].seq}
                    return
                self._add(stored)
            if not events:
                return
            last = events[-1]
            reached = last.seq
            read += len(events)
            if read >= MAX_EVENTS:
                self.next = {"after": last.seq}
                return

    async def read_before(self, before: int | None) -> None:
        """Read the last events before a seq; None: the newest."""
        newest = await self._history.newest()
        end = newest.seq + 1 if newest else 1
        before = end if before is None else min(before, end)
        place = await self._history.place_before(before, self._limit + 1)
        kept: deque[Stored] = deque(maxlen=self._limit + 1)
        while place < before:
            raise_if_cancelled()
            events, more = await self._history.at(place)
            await self._charge(len(events))
            kept.extend(stored for stored in events if stored.seq < before)
            place = events[-1].seq + 1 if events and more else before
        await self._check_end(kept[-1].seq if kept else 0, before)
        if not kept:
            return
        full = len(kept) > self._limit
        last = kept.popleft() if full else await self._history.newest_before(kept[0].seq)
        self._start(last)
        for stored in kept:
            self._add(stored)
        if last is not None:
            self.next = {"before": kept[0].seq}

    async def _check_end(self, last: int, before: int) -> None:
        """Raise NatsUnreachableError if a replica that lags has answered."""
        later = await self._history.next_after(last)
        if later is not None and later.seq < before:
            raise NatsUnreachableError("a replica of the stream lags behind")

    def _start(self, last: Stored | None) -> None:
        """Start after a message, which may not be valid."""
        self.is_first = last is None
        self._prev = last.seq if last is not None and self._decoded(last) else None

    def _add(self, stored: Stored) -> None:
        event = self._decoded(stored)
        if event is not None:
            self.rows.append(_Row(event, stored.seq, self._prev))
            self._prev = stored.seq

    def _decoded(self, stored: Stored) -> Event | None:
        """Decode an event as the feed would have; None if it would have been rejected."""
        try:
            return self._decode(self._channel, stored.payload, stored.ms)
        except EventError:
            return None
