"""Gaps: seqs that the stream no longer holds, and the channels that may have lost events there.

The limits of a stream, purges and rollups remove the oldest events of a subject first. So if the
stream still holds the last event read of a channel, it holds every later one, and the missing seqs
cost that channel nothing. If messages can also leave it in another way, a missing seq may have been
an event of any channel (see `holes`).

A wildcard such as `percolator.trade.*` stands among the subjects for the stream of all markets of a
kind: it has lost events if any of its markets has.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from percolator.jetstream import stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, ask_leader, direct_get
from percolator.jetstream.holes import explained_before, full_subjects, unexplained
from percolator.jetstream.removal import Removal
from percolator.jetstream.stream import StreamState
from percolator.model.channel import ALL, Channel
from percolator.model.kinds import KINDS

PAGE = 500
MAX_REQUESTS = 64
"""Requests in flight at a time."""

WILDCARDS = {Channel(kind, ALL).subject for kind in KINDS if kind.lossless}

logger = logging.getLogger(__name__)


class SequenceGap(NamedTuple):
    """Seqs before `before` are missing; these subjects may have lost events there."""

    before: int
    subjects: frozenset[str]


async def read_by_page(
    client: NatsClient,
    name: str,
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
        events, more = await direct_get(client, name, request)
        if not events:
            if after < last_seq and not await _next(client, name, ">", after):
                losses = await find_losses(client, name, last_seqs(), after, last_seq)
                yield SequenceGap(last_seq + 1, with_wildcards(losses.at(last_seq + 1)))
            return
        missing = newest_missing(events, after)
        losses = Losses()
        if missing:
            losses = await find_losses(client, name, last_seqs(), after, missing)
        for step in with_gaps(events, after, losses):
            yield step
        if not missing and not more:
            return
        after = events[-1].seq


async def unsure_seeds(
    client: NatsClient, name: str, state: StreamState, seeds: list[Stored], after: int
) -> SequenceGap | None:
    """Return the gap of the channels that may have lost events between their seed and seq `after`.

    A seed of a lossless kind is the newest event of its subject, at or before that seq. Raises
    NatsUnreachableError.
    """
    seeds = [seed for seed in seeds if _is_lossless(seed.subject)]
    if not seeds or state.removal is Removal.OLDEST_FIRST:
        return None
    oldest = min(seeds)
    missing = await unexplained(
        client, name, state, (oldest.seq, after + 1), subject=oldest.subject, last=oldest
    )
    newest = after if missing is None else max(missing, default=0)
    unsure = frozenset(seed.subject for seed in seeds if seed.seq < newest)
    return SequenceGap(newest + 1, unsure) if unsure else None


def _is_lossless(subject: str) -> bool:
    channel = Channel.of_subject(subject)
    return channel is not None and channel.kind.lossless


def newest_missing(events: list[Stored], after: int) -> int:
    """Return the newest seq that a run of events after a seq leaves out; 0 if it has all."""
    seqs = [after, *(event.seq for event in events)]
    return max((seq - 1 for before, seq in pairwise(seqs) if seq != before + 1), default=0)


@dataclass
class Losses:
    """Which subjects may have lost events at missing seqs."""

    affected: Mapping[str, int | None] = field(default_factory=dict)
    """Those of which the stream no longer holds the last event read (see `affected_subjects`)."""
    known: set[str] = field(default_factory=set)
    """All that need a gap for lost events."""
    silent: set[str] = field(default_factory=set)
    """Those of which no event is known."""
    explained: range = range(0)
    """The seqs that are missing because of the limit per subject, if they are missing."""
    full: list[str] = field(default_factory=list)
    """The subjects that have reached that limit."""
    in_order: bool = True
    """True if the stream can only lose the oldest events of a subject first."""

    def at(self, before: int) -> set[str]:
        """Return the subjects that may have lost events right before a seq, wildcards among them.

        A wildcard has also lost those of a market that was not known until then.
        """
        lost = {sub for sub, first in self.affected.items() if first is None or first >= before}
        if before - 1 in self.explained:
            new = {wildcard_of(subject) for subject in self.full if subject not in self.known}
            return (lost - self.silent.difference(self.full)) | new
        if self.in_order:
            return lost | WILDCARDS
        return self.known | WILDCARDS


async def find_losses(
    client: NatsClient, name: str, last_seqs: Mapping[str, int], after: int, newest: int
) -> Losses:
    """Find what may have been lost after seq `after`; `newest` is the newest seq missing there.

    Call this after the events were read: what the stream still holds now, it held then. Raises
    NatsUnreachableError.
    """
    state = await stream.state(client, name)
    full = await full_subjects(client, name, state)
    until = await explained_before(client, name, full, enough=newest)
    in_order = state.removal is Removal.OLDEST_FIRST
    affected: dict[str, int | None] = {}
    if state.removal is not Removal.ANY:  # else any missing seq may be of any subject
        affected = await affected_subjects(client, name, last_seqs, after)
    text = "the stream has dropped events after seq %d; %d channels may have lost some"
    silent = {subject for subject, last in last_seqs.items() if not last}
    explained = range(state.first_seq, until)
    found = Losses(affected, set(last_seqs), silent, explained, full, in_order=in_order)
    logger.warning(text, after, len(found.at(newest + 1) - WILDCARDS))
    return found


async def affected_subjects(
    client: NatsClient, name: str, last_seqs: Mapping[str, int], after: int
) -> dict[str, int | None]:
    """Return the subjects that may have lost events after seq `after`.

    The value is the first seq that the stream still holds of the subject, if any. `last_seqs` has
    the newest event that was read of each subject, 0 if none. Raises NatsUnreachableError.
    """
    slots = asyncio.Semaphore(MAX_REQUESTS)

    async def check(subject: str, last: int) -> tuple[str, int | None] | None:
        async with slots:
            if last and await ask_leader(client, name, {"seq": last}):
                return None
            first = await _next(client, name, subject, after)
            return subject, first.seq if first else None

    checks = await asyncio.gather(*(check(*item) for item in last_seqs.items()))
    return dict(affected for affected in checks if affected is not None)


async def _next(client: NatsClient, name: str, subject: str, after: int) -> Stored | None:
    return await ask_leader(client, name, {"seq": after + 1, "next_by_subj": subject})


def with_gaps(events: list[Stored], after: int, losses: Losses) -> Iterator[Stored | SequenceGap]:
    """Put the gaps between the events: each before the next event of its subject, or at the end.

    That of a wildcard comes before the next event of any of its markets, so in the order of seqs.

    Missing seqs also yield a gap without subjects: a channel that first appears later must not
    claim to know what came before them.
    """
    pending: dict[str, int] = {}
    for event in events:
        if event.seq != after + 1:
            yield SequenceGap(event.seq, frozenset())
            for subject in losses.at(event.seq):
                pending |= dict.fromkeys((subject, wildcard_of(subject)), event.seq)
        for subject in (event.subject, wildcard_of(event.subject)):
            if subject in pending:
                yield SequenceGap(pending.pop(subject), frozenset({subject}))
        yield event
        losses.known.add(event.subject)
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
