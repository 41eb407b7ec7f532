"""The judge: holds what witnesses were sent against what the stream holds, event by event."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from nats.aio.client import Client

from percolator.jetstream.direct import direct_get
from percolator.model.channel import Channel
from percolator.model.messages import event_message
from tests.channels import decode
from tests.integration.faults.traffic import Published, number_of
from tests.integration.faults.witness import Event, Gap, Witness

Numbers = dict[int, int]
"""The numbers of a channel's events, by seq, in the order of the seqs."""


@dataclass
class Verdict:
    """What was found. All but the first two must be 0."""

    events: int = 0
    gaps: int = 0
    lost: int = 0
    """Events that a client lacks, and of which no gap tells."""
    doubled: int = 0
    disordered: int = 0
    false_gaps: int = 0
    """Gaps over what the stream still holds, or where it can be seen that nothing is missing."""
    unlinked: int = 0
    """Events whose `prev` is not the event before."""
    altered: int = 0
    """Events that are not those that were published under their seq."""

    def add(self, other: "Verdict") -> None:
        """Count another one in."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def clean(self) -> bool:
        """True where the contract was kept."""
        return not any(getattr(self, one.name) for one in fields(self)[2:])


TOTAL = Verdict()
"""Over all scenes of a run of the tests."""


@dataclass
class Truth:
    """What was published on each channel in each life of the stream, and what is still there."""

    published: list[dict[str, Numbers]] = field(default_factory=list)
    held: list[dict[str, Numbers]] = field(default_factory=list)

    @classmethod
    async def of(
        cls, client: Client, stream: str, channels: Iterable[str], published: Iterable[Published]
    ) -> "Truth":
        """Read back the stream as it is now, the last of its lives; the others hold nothing."""
        truth = cls()
        for event in published:
            while len(truth.published) <= event.life:
                truth.published.append({channel: {} for channel in channels})
                truth.held.append({channel: {} for channel in channels})
            truth.published[event.life][event.channel][event.seq] = event.number
        for channel in channels:
            held = await read_back(client, stream, channel)
            truth.held[-1][channel] = held
            truth.published[-1][channel] |= held
        for life in truth.published:
            life.update(
                {channel: dict(sorted(numbers.items())) for channel, numbers in life.items()}
            )
        return truth


async def read_back(client: Client, stream: str, channel: str) -> Numbers:
    """Give all events of a channel that the stream holds."""
    named = Channel.parse(channel)
    assert named is not None
    found: Numbers = {}
    after = 0
    while True:
        request = {"seq": after + 1, "batch": 500, "next_by_subj": named.subject}
        page = await direct_get(client, stream, request)
        if not page:
            return found
        for stored in page:
            frame = event_message(decode(stored.subject, stored.payload), stored.seq, None)
            found[stored.seq] = number_of(json.loads(frame[frame.index(b"{") :]))
        after = page[-1].seq


def judge(truth: Truth, found: Sequence[Witness], *, since: int | None = 0) -> Verdict:
    """Judge what each witness was sent on each of its channels, from `since` to now."""
    verdict = Verdict()
    for witness in found:
        for channel, seen in witness.seen.items():
            if channel.startswith("price:"):
                _judge_prices(verdict, truth, channel, seen)
            else:
                trial = _Trial(verdict, truth, channel, since)
                for item in seen:
                    trial.hear(item)
                trial.end()
    return verdict


def _judge_prices(
    verdict: Verdict, truth: Truth, channel: str, seen: Sequence[Event | Gap]
) -> None:
    """Latest wins: in order within a life, and the last one is the stream's last."""
    events = [item for item in seen if isinstance(item, Event)]
    verdict.events += len(events)
    if len(truth.published) == 1:
        seqs = [event.seq for event in events]
        verdict.disordered += seqs != sorted(seqs)
    held = truth.held[-1][channel]
    if held and (not events or events[-1].number != held[max(held)]):
        verdict.lost += 1


class _Trial:
    """One channel of one witness: what it was sent so far leads to a position in a life."""

    def __init__(self, verdict: Verdict, truth: Truth, channel: str, since: int | None) -> None:
        self._verdict = verdict
        self._truth = truth
        self._channel = channel
        self._begin(0)
        self._epoch: str | None = None
        self._position = since
        self._linked = since == 0
        self._seen: set[int] = set()

    def _begin(self, life: int) -> None:
        self._life = life
        self._numbers = self._truth.published[life][self._channel]
        self._published = list(self._numbers)
        self._held = list(self._truth.held[life][self._channel])

    def hear(self, item: Event | Gap) -> None:
        """Take the next message."""
        if isinstance(item, Event):
            self._event(item)
        else:
            self._verdict.gaps += 1
            self._gap(item)

    def end(self) -> None:
        """All that the stream holds must have come by now."""
        assert self._life == len(self._truth.published) - 1, "it has not heard of the last life"
        self._lose(self._held[-1] + 1 if self._held else 0)

    def _event(self, event: Event) -> None:
        verdict = self._verdict
        verdict.events += 1
        if event.seq in self._seen:
            verdict.doubled += 1
        elif self._position is not None and event.seq <= self._position:
            verdict.disordered += 1
        self._lose(event.seq)
        if event.prev is not None and self._linked and event.prev != self._position:
            verdict.unlinked += 1
        verdict.altered += self._numbers.get(event.seq) != event.number
        self._seen.add(event.seq)
        self._position, self._linked = event.seq, True

    def _gap(self, gap: Gap) -> None:
        replaced = gap.epoch not in (None, self._epoch)
        if replaced:
            self._begin(self._life + 1)
            self._epoch, self._position, self._seen = gap.epoch, 0, set()
        elif not gap.announced:
            self._verdict.lost += 1
        else:
            self._lose(gap.after + 1)
        after = 0 if gap.epoch else gap.after
        missing = _between(self._published, after, gap.before)
        there = _between(self._held, after, gap.before)
        known = _between(self._held, -1, after + 1)
        if there or (not missing and known and gap.epoch is None):
            self._verdict.false_gaps += 1
        self._position = max(self._position or 0, gap.before - 1)
        self._linked = False

    def _lose(self, before: int) -> None:
        """Count what should have come before a seq, and did not."""
        if self._position is not None:
            self._verdict.lost += len(_between(self._published, self._position, before))


def _between(seqs: list[int], after: int, before: int) -> list[int]:
    """Give the seqs, which are in order, after one and before another."""
    return seqs[bisect_right(seqs, after) : bisect_left(seqs, before)]
