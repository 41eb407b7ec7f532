"""Replay: deep history, the events of one subject after a seq, page by page.

Nothing is held for it on the server. Each page is asked for from the last event that is known on,
that one included: where it is not there any more, the stream has dropped events meanwhile, maybe
some that were not read yet. Each answer is of one replica, so that this holds also where it lags;
where it has nothing, the leader is asked.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsUnreachableError
from percolator.jetstream.direct import Stored, ask_leader, direct_get
from percolator.jetstream.last_per_subject import newest
from percolator.jetstream.stream import StreamState, state_of

PAGE = 500


class Page(NamedTuple):
    """Events of one subject after a seq, in order."""

    events: list[Stored]
    last: Stored | None
    """The newest event at or before that seq; None where it is not known."""
    whole: bool
    """True where the stream has dropped nothing between the two."""
    first: bool = False
    """True where there never was an event at or before that seq."""
    end: bool = False
    """True where there is nothing more now."""


class Reading(Protocol):
    """The feed, as far as it matters here."""

    @property
    def client(self) -> Client | None:
        """The connection that it reads from, while there is one."""

    @property
    def created(self) -> str:
        """Names the creation of the stream that it reads."""


class Replay:
    """Reads back the stream that the feed reads."""

    def __init__(self, feed: Callable[[], Reading | None], stream: str) -> None:
        self._feed = feed
        self._stream = stream

    @property
    def connected(self) -> bool:
        """True while there is somebody to ask."""
        feed = self._feed()
        return feed is not None and feed.client is not None

    async def page(self, subject: str, after: int, last: Stored | None) -> Page:
        """Give the next events of `subject` after seq `after`.

        `last` is the newest event of the subject at or before that, where it is known from the
        page before. Raises NatsUnreachableError, also where the stream is not the feed's any more.
        """
        feed = self._feed()
        if feed is None or feed.client is None:
            raise NatsUnreachableError("NATS is not connected just now")
        client = feed.client
        if last is not None:
            page = _page(await self._from(client, subject, last.seq), after, last)
        else:
            page = await self._first(client, feed, subject, after)
        if page.events:
            return page
        # It may be a replica that lags, and lacks what is next, or even the last event known.
        later = await ask_leader(client, self._stream, {"seq": after + 1, "next_by_subj": subject})
        if page.last is not None and not page.whole:
            held = await ask_leader(client, self._stream, {"seq": page.last.seq})
            page = page._replace(whole=held == page.last)
        return page._replace(end=later is None)

    async def _first(self, client: Client, feed: Reading, subject: str, after: int) -> Page:
        """Give the first page of a replay: what comes before it is not known yet."""
        events = await self._from(client, subject, max(after, 1))
        last: Stored | None = None
        if events and events[0].seq <= after:
            last = events[0]
        elif last := await newest(client, self._stream, subject, after):
            events = await self._from(client, subject, last.seq)
        state = await self._state(client)  # only now: what it still has, it had before
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
            raise NatsUnreachableError(f"the stream does not say its state: {error}") from None


def _page(events: list[Stored], after: int, last: Stored) -> Page:
    """Make a page of what was asked for from `last` on."""
    whole = bool(events) and events[0] == last
    before = [event for event in events if event.seq <= after]
    return Page(events[len(before) :], before[-1] if before else last, whole)
