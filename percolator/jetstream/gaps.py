"""Holes: seqs that the stream does not hold any more, and which channels lost something in them.

The stream drops the oldest events of a subject first, whatever makes it drop them: age, bytes,
events a subject, a purge. So where it still has the last event of a channel that was read, it has
every one after it, and a hole is no loss of that channel. (An operator who deletes single events
by hand is outside of this.)
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import NamedTuple

from nats.aio.client import Client

from percolator.jetstream.direct import Stored, ask_leader, direct_get

PAGE = 500
REQUESTS_AT_ONCE = 64

logger = logging.getLogger(__name__)


class SequenceGap(NamedTuple):
    """The stream has a hole before seq `before`, in which these subjects may have lost events."""

    before: int
    subjects: frozenset[str]


async def read_by_page(
    client: Client,
    stream: str,
    after: int,
    last_seq: int,
    last_seqs: Callable[[], Mapping[str, int]],
) -> AsyncIterator[Stored | SequenceGap]:
    """Read on after a seq until there is a page that is neither full nor has holes.

    The stream is known to have come up to `last_seq`. `last_seqs` gives the newest event of each
    subject that must not lose any unsaid, 0 where none is known; with all that was yielded so far.
    Raises NatsUnreachableError.
    """
    while True:
        request: dict[str, object] = {"seq": after + 1, "batch": PAGE, "next_by_subj": ">"}
        events = await direct_get(client, stream, request)
        if not events:
            if after < last_seq and not await _next(client, stream, ">", after):
                affected = await affected_subjects(client, stream, last_seqs(), after)
                yield SequenceGap(last_seq + 1, frozenset(affected))
            return
        holes = has_holes(events, after)
        affected = await affected_subjects(client, stream, last_seqs(), after) if holes else {}
        for step in crossing(events, after, affected):
            yield step
        if not holes and len(events) < PAGE:
            return
        after = events[-1].seq


def has_holes(events: list[Stored], after: int) -> bool:
    """Tell whether a run of events, in order, leaves out any seq after `after`."""
    return bool(events) and events[-1].seq - after != len(events)


async def affected_subjects(
    client: Client, stream: str, last_seqs: Mapping[str, int], after: int
) -> dict[str, int | None]:
    """Say which subjects may have lost events after seq `after`, the first that each still has.

    `last_seqs` gives the newest event of each that was read, 0 where there is none. To be asked
    after the events themselves were read: what the stream still has now, it had then. Raises
    NatsUnreachableError.
    """
    few = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def look(subject: str, last: int) -> tuple[str, int | None] | None:
        async with few:
            if last and await ask_leader(client, stream, {"seq": last}):
                return None
            first = await _next(client, stream, subject, after)
            return subject, first.seq if first else None

    looks = await asyncio.gather(*(look(*item) for item in last_seqs.items()))
    found = dict(suspect for suspect in looks if suspect is not None)
    text = "the stream has dropped events after seq %d; %d channels may have lost some"
    logger.warning(text, after, len(found))
    return found


async def _next(client: Client, stream: str, subject: str, after: int) -> Stored | None:
    return await ask_leader(client, stream, {"seq": after + 1, "next_by_subj": subject})


def crossing(
    events: list[Stored], after: int, affected: Mapping[str, int | None]
) -> Iterator[Stored | SequenceGap]:
    """Put the losses between the events: each before the next event of its subject, or at the end.

    Each hole comes as a loss of no subject too: whoever hears of a channel for the first time
    later must not take what was before the hole for known.
    """
    owed: dict[str, int] = {}
    for event in events:
        if event.seq != after + 1:
            yield SequenceGap(event.seq, frozenset())
            for subject, first in affected.items():
                if first is None or first >= event.seq:
                    owed[subject] = event.seq
        if event.subject in owed:
            yield SequenceGap(owed.pop(event.subject), frozenset({event.subject}))
        yield event
        after = event.seq
    for before in sorted(set(owed.values())):
        yield SequenceGap(
            before, frozenset(subject for subject, at in owed.items() if at == before)
        )
