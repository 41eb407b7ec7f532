"""The state of subjects whose newest event need not be it: read back as far as is needed.

What decides is a `History`, which this room is given. The newest event is often enough; mostly, the
events of some seconds before it are; at worst, all that the stream holds of the subject. And where
a later event replaces any state, none need be read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Batch, Stored, direct_get

MAX_REQUESTS = 32
"""Requests in flight at a time."""
PAGE = 256
"""Events per request."""
FURTHER = 4
"""How many times as far back as the one before each look goes."""
MAX_EVENTS = 100_000
"""Events that are read for all subjects together, beyond the first look at each.

After that, the events that were read decide.
"""


class History(Protocol):
    """What decides which event of a subject is its state. Times are in Unix milliseconds."""

    def replaces(self, later: Stored, newest: Stored) -> bool:
        """Return whether a later event replaces any state that there can be after the newest."""

    def first_look(self, newest: Stored) -> int:
        """Return the time from which on to read the subject's events at first."""

    def settle(self, events: Sequence[Stored], since: int) -> Stored | None:
        """Return the state after the last events: all that were stored since a time.

        None if it depends on what came before them.
        """

    def fold(self, events: Sequence[Stored]) -> Stored | None:
        """Return the state after all events of a subject; None if none of them is valid."""


class Look:
    """Finds the states of many subjects of one stream."""

    def __init__(self, client: NatsClient, stream: str, history: History) -> None:
        self._client = client
        self._stream = stream
        self._history = history
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._left = MAX_EVENTS

    async def states(
        self, newest: Sequence[Stored], heads: Mapping[str, Stored], counts: Mapping[str, int]
    ) -> list[Stored]:
        """Return the state of each subject up to its event that is given, valid or not.

        `counts` is how many events the stream has of each. `heads` are later events, all of which
        are read next: a subject whose head replaces its state may get another state until then.
        Subjects without a valid event are left out. Raises NatsUnreachableError.
        """
        found: list[Stored | None] = []
        unsettled = []
        for event in newest:
            head = heads.get(event.subject, event)
            if counts.get(event.subject) == 1 or self._history.replaces(head, event):
                found.append(self._history.fold([event]))
            elif (state := self._history.settle([event], event.ms)) is not None:
                found.append(state)
            else:
                unsettled.append(event)
        found += await asyncio.gather(*(self._state(event) for event in unsettled))
        return [state for state in found if state is not None]

    async def _state(self, newest: Stored) -> Stored | None:
        """Look at the event before, and then further and further back until it is certain."""
        before, _ = await self._get({"multi_last": [newest.subject], "up_to_seq": newest.seq - 1})
        if before and (state := self._history.settle([newest], before[0].ms)) is not None:
            return state
        since = self._history.first_look(newest)
        events = await self._from_time(newest, since)
        state = self._history.settle(events, since)
        if state is not None:
            return state
        first, _ = await self._page(newest, {"seq": 1, "batch": 1})
        while self._left > 0 and since > 0 and events[:1] != first[:1]:
            since = newest.ms - FURTHER * max(newest.ms - since, 1)
            events = await self._from_time(newest, since)
            self._left -= len(events)
            state = self._history.settle(events, since)
            if state is not None:
                return state
        return self._history.fold(events)

    async def _from_time(self, newest: Stored, since: int) -> list[Stored]:
        """Return the events of a subject from a time on, up to its newest one."""
        found: list[Stored] = []
        start: dict[str, object] = {"start_time": _rfc3339(since)}
        while True:
            page, more = await self._page(newest, {**start, "batch": PAGE})
            found += [event for event in page if event.seq <= newest.seq]
            if not more or not page or page[-1].seq >= newest.seq:
                return found
            start = {"seq": page[-1].seq + 1}

    async def _page(self, newest: Stored, request: dict[str, object]) -> Batch:
        return await self._get({**request, "next_by_subj": newest.subject})

    async def _get(self, request: dict[str, object]) -> Batch:
        async with self._slots:
            return await direct_get(self._client, self._stream, request)


def _rfc3339(ms: int) -> str:
    """Write a time as NATS reads it; one before 1970 as 1970."""
    seconds, part = divmod(max(ms, 0), 1_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{part:03}Z"
