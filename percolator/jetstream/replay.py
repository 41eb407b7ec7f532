"""Replay: deep history, the events of one subject after a seq, page by page.

The server keeps no state for it. Each page starts with the last known event: if that one is
missing, the stream has dropped events meanwhile, maybe some that were not read yet. This also
holds for a replica that lags, because one replica gives the whole answer. If it returns nothing,
the leader is asked.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsUnreachableError
from percolator.jetstream.direct import Stored, ask_leader, direct_get
from percolator.jetstream.feed import Feed
from percolator.jetstream.last_per_subject import newest
from percolator.jetstream.stream import StreamState, state_of

PAGE = 500
"""Events per page."""

logger = logging.getLogger(__name__)


class Page(NamedTuple):
    """Events of one subject after a seq, in order."""

    events: list[Stored]
    last: Stored | None
    """The newest event at or before that seq; None if it is not known."""
    whole: bool
    """True if the stream has dropped nothing between `last` and the events."""
    first: bool = False
    """True if there never was an event at or before that seq."""
    end: bool = False
    """True if the stream has no later event of the subject at present."""


class Replay:
    """Reads history from the stream that the feed reads."""

    def __init__(self, feed: Callable[[], Feed | None], stream: str) -> None:
        self._feed = feed
        self._stream = stream

    @property
    def connected(self) -> bool:
        """True while the feed has a connection to read from."""
        feed = self._feed()
        return feed is not None and feed.client is not None

    async def page(self, subject: str, after: int, last: Stored | None) -> Page:
        """Return the next events of `subject` after seq `after`.

        `last` is the newest event of the subject at or before that seq, if the previous page told.
        Raises NatsUnreachableError, also if the stream is no longer the one that the feed reads.
        """
        feed = self._feed()
        if feed is None or feed.client is None:
            raise NatsUnreachableError("not connected to NATS at the moment")
        client = feed.client
        if last is not None:
            page = _page(await self._from(client, subject, last.seq), after, last)
        else:
            page = await self._first(client, feed, subject, after)
        logger.debug("replay: %d events of %s after seq %d", len(page.events), subject, after)
        if page.events:
            return page
        # A lagging replica may lack the next events, or even the last known one.
        later = await ask_leader(client, self._stream, {"seq": after + 1, "next_by_subj": subject})
        if page.last is not None and not page.whole:
            held = await ask_leader(client, self._stream, {"seq": page.last.seq})
            page = page._replace(whole=held == page.last)
        return page._replace(end=later is None)

    async def _first(self, client: Client, feed: Feed, subject: str, after: int) -> Page:
        """Return the first page of a replay, for which no last event is known yet."""
        events = await self._from(client, subject, max(after, 1))
        last: Stored | None = None
        if events and events[0].seq <= after:
            last = events[0]
        elif last := await newest(client, self._stream, subject, after):
            events = await self._from(client, subject, last.seq)
        state = await self._state(client)  # asked last: what the stream still holds, it held before
        if state.epoch != feed.created:
            raise NatsUnreachableError("the stream was replaced")
        if last is not None:
            return _page(events, after, last)
        untouched = after >= state.first_seq - 1 and not state.deleted
        return Page(events, None, whole=state.complete or untouched, first=state.complete)

    async def _from(self, client: Client, subject: str, seq: int) -> list[Stored]:
        request: dict[str, object] = {"seq": seq, "next_by_subj": subject, "batch": PAGE + 1}
        return await direct_get(client, self._stream, request)

    async def _state(self, client: Client) -> StreamState:
        try:
            return state_of(await client.jetstream().stream_info(self._stream))
        except (nats.errors.Error, JetStreamError) as error:
            raise NatsUnreachableError(
                f"the stream {self._stream} cannot be read: {error}"
            ) from None


def _page(events: list[Stored], after: int, last: Stored) -> Page:
    """Return the page of an answer that was requested from `last` on."""
    whole = bool(events) and events[0] == last
    before = [event for event in events if event.seq <= after]
    return Page(events[len(before) :], before[-1] if before else last, whole)
