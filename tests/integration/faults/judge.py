"""The judge: compares what the witnesses received with what the stream holds, event by event."""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from nats.aio.client import Client

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect
from percolator.jetstream.direct import direct_get
from percolator.model.channel import Channel
from percolator.model.messages import event_message
from tests.channels import decode
from tests.integration.faults.traffic import Published, number_of
from tests.integration.faults.witness import Event, Gap, Witness, all_markets

Numbers = dict[int, int]
"""The numbers of a channel's events by seq, in order of the seqs."""


@dataclass
class Verdict:
    """The findings. All but the first two must be 0."""

    events: int = 0
    gaps: int = 0
    lost: int = 0
    """Events that a client did not receive and that no gap covers."""
    duplicated: int = 0
    disordered: int = 0
    false_gaps: int = 0
    """Gaps over events that the stream still holds, or over nothing."""
    wrong_prev: int = 0
    """Events whose `prev` is not the seq of the previous event."""
    altered: int = 0
    """Events that differ from what was published under their seq, or are of another epoch."""

    def add(self, other: "Verdict") -> None:
        """Add the counts of another verdict."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def clean(self) -> bool:
        """True if the contract was kept."""
        return not any(getattr(self, each.name) for each in fields(self)[2:])


TOTAL: dict[str, Verdict] = defaultdict(Verdict)
"""The sum over all scenarios of a test run, by the name of the witness."""


@dataclass
class Truth:
    """What was published per channel and incarnation of the stream, and what it still holds."""

    published: list[dict[str, Numbers]] = field(default_factory=list)
    held: list[dict[str, Numbers]] = field(default_factory=list)

    @classmethod
    async def of(
        cls, client: Client, stream: str, channels: Iterable[str], published: Iterable[Published]
    ) -> "Truth":
        """Read the stream, which is the last incarnation now; earlier ones hold nothing."""
        truth = cls()
        for event in published:
            while len(truth.published) <= event.incarnation:
                truth.published.append({channel: {} for channel in channels})
                truth.held.append({channel: {} for channel in channels})
            truth.published[event.incarnation][event.channel][event.seq] = event.number
        assert client.connected_url is not None
        address = NatsAddress(client.connected_url.geturl())
        reader = await connect(address, name="judge", reconnect=False)
        for channel in channels:
            held = await read_back(reader, stream, channel)
            truth.held[-1][channel] = held
            truth.published[-1][channel] |= held
        await reader.close()
        for incarnation in truth.published:
            incarnation.update(
                {channel: dict(sorted(numbers.items())) for channel, numbers in incarnation.items()}
            )
        return truth


async def read_back(client: NatsClient, stream: str, channel: str) -> Numbers:
    """Return all events of a channel that the stream holds."""
    named = Channel.parse(channel)
    assert named is not None
    found: Numbers = {}
    after = 0
    while True:
        request = {"seq": after + 1, "batch": 500, "next_by_subj": named.subject}
        page, _ = await direct_get(client, stream, request)
        if not page:
            return found
        for stored in page:
            event = decode(stored.subject, stored.payload, stored.ms)
            frame = event_message(event, stored.seq, None)
            found[stored.seq] = number_of(json.loads(frame[frame.index(b"{") :]))
        after = page[-1].seq


def judge(truth: Truth, found: Sequence[Witness]) -> Verdict:
    """Judge what the witnesses received, add each one's verdict to TOTAL, and return the sum."""
    total = Verdict()
    for witness in found:
        verdict = judge_one(truth, witness)
        TOTAL[witness.name].add(verdict)
        total.add(verdict)
    return total


def judge_one(truth: Truth, witness: Witness) -> Verdict:
    """Judge what a witness received on each of its channels, from its start until now."""
    verdict = Verdict()
    for channel, seen in witness.seen.items():
        if channel.startswith("price:"):
            _judge_prices(verdict, truth, channel, seen)
        else:
            trial = _Trial(verdict, truth, channel, witness.since)
            for item in seen:
                trial.receive(item)
            trial.end()
    return verdict


def _judge_prices(
    verdict: Verdict, truth: Truth, channel: str, seen: Sequence[Event | Gap]
) -> None:
    """Latest wins: in order within an incarnation, and the last price is the stream's last.

    Any others may be left out: a client that is behind gets the newest. None has a gap.
    """
    events = [item for item in seen if isinstance(item, Event)]
    verdict.events += len(events)
    verdict.false_gaps += len(seen) - len(events)
    if len(truth.published) == 1:
        numbers = truth.published[0][channel]
        verdict.altered += sum(numbers.get(event.seq) != event.number for event in events)
        seqs = [event.seq for event in events]
        verdict.disordered += seqs != sorted(seqs)
    held = truth.held[-1][channel]
    if held and (not events or events[-1].number != held[max(held)]):
        verdict.lost += 1


class _Trial:
    """One channel of one witness: the messages so far give a position in an incarnation."""

    def __init__(self, verdict: Verdict, truth: Truth, channel: str, since: int | None) -> None:
        self._verdict = verdict
        self._truth = truth
        self._channel = channel
        self._begin(0)
        self._epoch: str | None = None
        self._position = since
        self._linked = since == 0
        self._seen: set[int] = set()

    def _begin(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._numbers = self._truth.published[incarnation][self._channel]
        self._published = list(self._numbers)
        self._held = list(self._truth.held[incarnation][self._channel])
        self._lost_of_any = sorted(
            seq
            for channel, numbers in self._truth.published[incarnation].items()
            if all_markets(channel) == all_markets(self._channel)
            for seq in numbers.keys() - self._truth.held[incarnation][channel].keys()
        )

    def receive(self, item: Event | Gap) -> None:
        """Judge the next message."""
        if isinstance(item, Event):
            self._event(item)
        else:
            self._verdict.gaps += 1
            self._gap(item)

    def end(self) -> None:
        """Judge the end: everything that the stream holds must have been received."""
        assert self._incarnation == len(self._truth.published) - 1, (
            "the witness did not reach the last incarnation"
        )
        self._count_lost(self._held[-1] + 1 if self._held else 0)

    def _event(self, event: Event) -> None:
        verdict = self._verdict
        verdict.events += 1
        if event.seq in self._seen:
            verdict.duplicated += 1
        elif self._position is not None and event.seq <= self._position:
            verdict.disordered += 1
        self._count_lost(event.seq)
        if event.prev is not None and self._linked and event.prev != self._position:
            verdict.wrong_prev += 1
        self._epoch = self._epoch or event.epoch or None
        other_epoch = event.epoch not in ("", self._epoch)
        verdict.altered += other_epoch or self._numbers.get(event.seq) != event.number
        self._seen.add(event.seq)
        self._position, self._linked = event.seq, True

    def _gap(self, gap: Gap) -> None:
        replaced = gap.epoch not in (None, self._epoch)
        if replaced:
            self._begin(self._incarnation + 1)
            self._epoch, self._position, self._seen = gap.epoch, 0, set()
        elif not gap.announced:
            self._verdict.lost += 1
        else:
            self._count_lost(gap.after + 1)
        after = 0 if gap.epoch else gap.after
        missing = _between(self._published, after, gap.before)
        present = _between(self._held, after, gap.before)
        known = _between(self._held, -1, after + 1)
        is_true = gap.shared and _between(self._lost_of_any, after, gap.before)
        if not is_true and (present or (not missing and known and gap.epoch is None)):
            self._verdict.false_gaps += 1
        self._position = max(self._position or 0, gap.before - 1)
        self._linked = False

    def _count_lost(self, before: int) -> None:
        """Count the events before a seq that should have been received."""
        if self._position is not None:
            self._verdict.lost += len(_between(self._published, self._position, before))


def _between(seqs: list[int], after: int, before: int) -> list[int]:
    """Return the seqs between two others, both excluded; `seqs` is sorted."""
    return seqs[bisect_right(seqs, after) : bisect_left(seqs, before)]
