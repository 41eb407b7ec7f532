"""The account of each client: events lost, duplicated or out of order, compared with the stream."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from percolator.model.channel import Channel
from percolator.model.kinds import Kind
from percolator_cli.loadtest.plan import PUBLISHED
from percolator_cli.loadtest.reader import Reader, Span
from percolator_cli.loadtest.reference import UNKNOWN, Reference

Missing = dict[Kind, list[int]]
LOSSLESS = tuple(kind for kind in PUBLISHED if kind.lossless)


@dataclass(slots=True)
class Account:
    """Counts for one or more clients; accounts are added with `+`."""

    lost: int = 0
    """Events that did not arrive. Of the prices, only the last one can be lost."""
    announced: int = 0
    """Lost events that were announced as a gap."""
    duplicated: int = 0
    out_of_order: int = 0
    """Events that arrived after one with a higher seq."""
    altered: int = 0
    """Messages whose bytes differ from those that other clients got."""
    wrong_prev: int = 0
    """Messages whose `prev` was not the seq of the event before."""
    gaps: int = 0
    """Gaps that were announced."""
    conflated: int = 0
    """Prices that were replaced by newer ones before they were sent."""

    def __add__(self, other: "Account") -> "Account":
        return Account(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def faults(self) -> int:
        """The number of errors of all kinds."""
        return self.lost + self.duplicated + self.out_of_order + self.altered + self.wrong_prev


class Expected(NamedTuple):
    """What the clients of a market should receive, with seqs in ascending order."""

    slab: str
    seqs: Mapping[Kind, "array[int]"]


def expect(slab: str, published: Mapping[Kind, Iterable[int]], reference: Reference) -> Expected:
    """Return the seqs that were published, received by any client, or referred to by a `prev`."""
    seqs: dict[Kind, array[int]] = {}
    for kind, track in reference.tracks.items():
        named = {prev for prev in track.prevs if prev > 0}
        first = track.seqs[0] if track.seqs else 0
        known = {*published.get(kind, ()), *track.seqs, *(seq for seq in named if seq >= first)}
        seqs[kind] = array("q", sorted(known))
    return Expected(slab, seqs)


def wrong_prev(expected: Expected, reference: Reference) -> "array[int]":
    """Return the indexes of messages whose `prev` is not the event before, in ascending order."""
    found = []
    for kind in LOSSLESS:
        seqs, track = expected.seqs[kind], reference.tracks[kind]
        for seq, prev, index in zip(track.seqs, track.prevs, track.indexes, strict=True):
            at = bisect_left(seqs, seq)
            # The event before the first known one is not known.
            if prev != UNKNOWN and at and prev != seqs[at - 1]:
                found.append(index)
    return array("q", sorted(found))


class Accountant:
    """Settles the accounts of a market's clients; equal sequences are compared only once."""

    def __init__(self, expected: Expected, reference: Reference) -> None:
        self._expected = expected
        self._reference = reference
        self._wrong_prev = wrong_prev(expected, reference)
        self._settled: dict[tuple[Span, ...], tuple[Account, Missing]] = {}

    def settle(self, reader: Reader, *, to_the_end: bool) -> Account:
        """Return a client's account. A client that left early lost nothing after its last event."""
        spans = reader.all_spans()
        if spans not in self._settled:
            self._settled[spans] = self._compare(spans)
        account, missing = self._settled[spans]
        own = Account(altered=reader.altered, gaps=len(reader.gaps))
        for kind, seqs in missing.items():
            until = math.inf if to_the_end else max(self._received(spans, kind), default=0)
            left = [seq for seq in seqs if (reader.since or 0) < seq <= until]
            if not kind.lossless:
                last = left[-1:] if left and left[-1] == self._expected.seqs[kind][-1] else []
                own.conflated += len(left) - len(last)
                left = last
            channel = Channel(kind, self._expected.slab).name
            gaps = [(start, end) for named, start, end in reader.gaps if named == channel]
            own.lost += len(left)
            own.announced += sum(any(start < seq < end for start, end in gaps) for seq in left)
        return account + own

    def _compare(self, spans: tuple[Span, ...]) -> tuple[Account, Missing]:
        """Return the counts shared by all clients with these spans, and the seqs they missed."""
        account, missing = Account(), Missing()
        for kind, expected in self._expected.seqs.items():
            received = self._received(spans, kind)
            seen = set(received)
            account.duplicated += len(received) - len(seen)
            account.out_of_order += _out_of_order(received)
            if len(seen) < len(expected):
                missing[kind] = [seq for seq in expected if seq not in seen]
        for span in spans:
            start, end = (bisect_left(self._wrong_prev, at) for at in span[:2])
            account.wrong_prev += end - start
        return account, missing

    def _received(self, spans: Iterable[Span], kind: Kind) -> "array[int]":
        received = array("q")
        for span in spans:
            if span.stray is None:
                received += self._reference.tracks[kind].between(span.start, span.end)
            elif span.stray[0] == kind:
                received.append(span.stray[1])
        return received


def _out_of_order(seqs: "array[int]") -> int:
    """Count seqs that come after a higher one; duplicates are not counted here."""
    found = highest = 0
    seen: set[int] = set()
    for seq in seqs:
        if seq > highest:
            highest = seq
        elif seq not in seen:
            found += 1
        seen.add(seq)
    return found
