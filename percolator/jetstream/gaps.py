"""Gaps: seqs that the stream no longer holds, and the channels that may have lost events there.

The stream drops the oldest events of a subject first, whatever the reason: age, bytes, events per
subject, a purge. So if it still holds the last event read of a channel, it holds every later one,
and the gap costs that channel nothing. (An operator who deletes single events by hand breaks this
rule.)

A wildcard such as `percolator.trade.*` stands among the subjects for the stream of all markets of a
kind: it has lost events if any of its markets has.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, ask_leader, direct_get

PAGE = 500
MAX_REQUESTS = 64
"""Requests in flight at a time."""

logger = logging.getLogger(__name__)


class SequenceGap(NamedTuple):
    """Seqs before `before` are missing; these subjects may have lost events there."""

    before: int
    subjects: frozenset[str]


async def read_by_page(
    client: NatsClient,
    stream: str,
    after: int,
    last_seq: int,
    last_seqs: Callable[[], Mapping[str, int]],
) -> AsyncIterator[Stored | SequenceGap]:
    """Yield the events after a seq until a page is the last one and has no missing seqs.

    The stream is known to have reached `last_seq`. `last_seqs` returns the newest event of each
    subject that needs a gap for lost events, 0 if none is known; it must include everything that
    was yielded so far. Raises NatsUnreachableError.
    """
    while True:
        request: dict[str, object] = {"seq": after + 1, "batch": PAGE, "next_by_subj": ">"}
        events, more = await direct_get(client, stream, request)
        if not events:
            if after < last_seq and not await _next(client, stream, ">", after):
                affected = await affected_subjects(client, stream, last_seqs(), after)
                yield SequenceGap(last_seq + 1, with_wildcards(affected))
            return
        missing = seqs_missing(events, after)
        affected = await affected_subjects(client, stream, last_seqs(), after) if missing else {}
        for step in with_gaps(events, after, affected):
            yield step
        if not missing and not more:
            return
        after = events[-1].seq


def seqs_missing(events: list[Stored], after: int) -> bool:
    """Return whether a run of events, in order, leaves out any seq after `after`."""
    return bool(events) and events[-1].seq - after != len(events)


async def affected_subjects(
    client: NatsClient, stream: str, last_seqs: Mapping[str, int], after: int
) -> dict[str, int | None]:
    """Return the subjects that may have lost events after seq `after`.

    The value is the first seq that the stream still holds of the subject, if any. `last_seqs` has
    the newest event that was read of each subject, 0 if none. Call this after the events were
    read: what the stream still holds now, it held then. Raises NatsUnreachableError.
    """
    slots = asyncio.Semaphore(MAX_REQUESTS)

    async def check(subject: str, last: int) -> tuple[str, int | None] | None:
        async with slots:
            if last and await ask_leader(client, stream, {"seq": last}):
                return None
            first = await _next(client, stream, subject, after)
            return subject, first.seq if first else None

    checks = await asyncio.gather(*(check(*item) for item in last_seqs.items()))
    found = dict(affected for affected in checks if affected is not None)
    text = "the stream has dropped events after seq %d; %d channels may have lost some"
    logger.warning(text, after, len(found))
    return found


async def _next(client: NatsClient, stream: str, subject: str, after: int) -> Stored | None:
    return await ask_leader(client, stream, {"seq": after + 1, "next_by_subj": subject})


def with_gaps(
    events: list[Stored], after: int, affected: Mapping[str, int | None]
) -> Iterator[Stored | SequenceGap]:
    """Put the gaps between the events: each before the next event of its subject, or at the end.

    That of a wildcard comes before the next event of any of its markets, so in the order of seqs.

    Missing seqs also yield a gap without subjects: a channel that first appears later must not
    claim to know what came before them.
    """
    pending: dict[str, int] = {}
    for event in events:
        if event.seq != after + 1:
            yield SequenceGap(event.seq, frozenset())
            for subject, first in affected.items():
                if first is None or first >= event.seq:
                    pending |= dict.fromkeys((subject, wildcard_of(subject)), event.seq)
        for subject in (event.subject, wildcard_of(event.subject)):
            if subject in pending:
                yield SequenceGap(pending.pop(subject), frozenset({subject}))
        yield event
        after = event.seq
    for before in sorted(set(pending.values())):
        yield SequenceGap(
            before, frozenset(subject for subject, at in pending.items() if at == before)
        )


def with_wildcards(subjects: Iterable[str]) -> frozenset[str]:
    """Return the subjects and their wildcards."""
    return frozenset(each for subject in subjects for each in (subject, wildcard_of(subject)))


def wildcard_of(subject: str) -> str:
    """Return the wildcard that stands for all markets of a subject's kind."""
    return f"{subject.rpartition('.')[0]}.*"
