"""Replay: deep history, the events of one subject or of all that match, page by page.

The server keeps no state for it. Each page starts with the last known event: if that one is
missing, the stream has dropped events meanwhile, maybe some that were not read yet. This also
holds for a replica that lags, because one replica gives the whole answer. If it returns nothing
new, the leader is asked for the next event. Seqs that are missing between its events may be lost
events (see `holes`).

It has a connection of its own: history that the feed's connection had to carry would delay live
events, and many large messages would make the server cut the feed off.
"""

import asyncio
import logging
from bisect import bisect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

from percolator.errors import NatsUnreachableError
from percolator.jetstream import holes, stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import Handler, hang_up
from percolator.jetstream.direct import Stored, ask_leader, direct_get
from percolator.jetstream.feed import Feed
from percolator.jetstream.last_per_subject import newest
from percolator.jetstream.liveness import is_alive
from percolator.jetstream.stream import StreamState

PAGE = 64
"""Events per page: few, because a page is parsed in one turn of the loop."""

T = TypeVar("T")

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
    lost: frozenset[int] = frozenset()
    """Seqs of further events before which the stream may have dropped some."""
    end: bool = False
    """True if the stream has no later event of the subject at present."""


class Replay:
    """Reads history from the stream that the feed reads."""

    def __init__(
        self,
        feed: Callable[[], Feed | None],
        stream_name: str,
        connect: Callable[[Handler], Awaitable[NatsClient]],
    ) -> None:
        """`connect` opens a connection without reconnect; it calls its argument when that ends."""
        self._feed = feed
        self._name = stream_name
        self._connect = connect
        self._client: NatsClient | None = None
        self._connecting = asyncio.Lock()

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
        page = await self.ask(partial(self._page, subject=subject, after=after, last=last))
        logger.debug("replay: %d events of %s after seq %d", len(page.events), subject, after)
        return page

    async def ask(self, question: Callable[[NatsClient, Feed], Awaitable[T]]) -> T:
        """Ask something over the connection for history; the feed says which stream it reads.

        Raises NatsUnreachableError, and what the question raises.
        """
        feed = self._feed()
        if feed is None or feed.client is None:
            raise NatsUnreachableError("not connected to NATS at the moment")
        client = await self._connected()
        try:
            return await question(client, feed)
        except NatsUnreachableError:
            if not await is_alive(client):
                await self._disconnect(client)
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            await self._disconnect(self._client)

    async def _connected(self) -> NatsClient:
        """Return the connection; open it if there is none."""
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = await self._connect(_ignore_end)
            return self._client

    async def _disconnect(self, client: NatsClient) -> None:
        if self._client is client:
            self._client = None
        await hang_up(client)

    async def _page(
        self, client: NatsClient, feed: Feed, subject: str, after: int, last: Stored | None
    ) -> Page:
        if last is not None:
            page = _page(await self._from(client, subject, last.seq), after, last)
        else:
            page = await self._first(client, subject, after)
        if not page.events:
            # A replica may lag, and a batch may end with a large event before the next one.
            request: dict[str, object] = {"seq": after + 1, "next_by_subj": subject}
            later = await ask_leader(client, self._name, request)
            page = page._replace(events=[later] if later else [], end=later is None)
            if page.last is not None:
                held = await ask_leader(client, self._name, {"seq": page.last.seq})
                page = page._replace(whole=held == page.last)
        state = await stream.state(client, self._name)
        if state.epoch != feed.created:
            raise NatsUnreachableError("the stream was replaced")
        # Asked last: what the stream still holds, it held before.
        return await self._with_losses(client, state, subject, after, page)

    async def _with_losses(
        self, client: NatsClient, state: StreamState, subject: str, after: int, page: Page
    ) -> Page:
        """Return the page with the places at which events of the subject may be lost."""
        if page.last is None:
            first = state.complete and (after < 1 or "*" not in subject)
            page = page._replace(whole=after >= state.first_seq - 1, first=first)
        seqs = [event.seq for event in page.events]
        start, last = page.last.seq if page.last else after, page.last
        if not page.whole:
            if not seqs:
                return page
            start, last = seqs[0], page.events[0]
        between = (start, seqs[-1] if seqs else state.last_seq + 1)
        missing = await holes.unexplained(
            client, self._name, state, between, subject=subject, last=last
        )
        if missing is None:
            return page._replace(whole=False, lost=frozenset(seqs))
        if missing and missing[0] <= after:  # the client has what was lost there, but not its seq
            page = page._replace(last=None)
        missing = [seq for seq in missing if seq > after]
        lost = {seqs[at] for at in (bisect(seqs, seq) for seq in missing) if at < len(seqs)}
        whole = page.whole and (not lost.intersection(seqs[:1]) if seqs else not missing)
        return page._replace(whole=whole, lost=frozenset(lost))

    async def _first(self, client: NatsClient, subject: str, after: int) -> Page:
        """Return the first page of a replay, for which no last event is known yet.

        Of a wildcard, the last event before the page is not looked for: each of its markets has
        another one.
        """
        events = await self._from(client, subject, max(after, 1))
        last: Stored | None = None
        if events and events[0].seq <= after:
            last = events[0]
        elif "*" not in subject and (last := await newest(client, self._name, subject, after)):
            events = await self._from(client, subject, last.seq)
        if last is not None:
            return _page(events, after, last)
        return Page(events, None, whole=False)

    async def _from(self, client: NatsClient, subject: str, seq: int) -> list[Stored]:
        request: dict[str, object] = {"seq": seq, "next_by_subj": subject, "batch": PAGE + 1}
        return (await direct_get(client, self._name, request)).events


async def _ignore_end() -> None:
    """Ignore that the connection has ended: the next page opens another."""


def _page(events: list[Stored], after: int, last: Stored) -> Page:
    """Return the page of an answer that was requested from `last` on."""
    whole = bool(events) and events[0] == last
    before = [event for event in events if event.seq <= after]
    return Page(events[len(before) :], before[-1] if before else last, whole)
