"""The account of each client: events lost, duplicated or out of order, compared with the stream."""

import math
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from percolator.model.channel import Channel
from percolator_cli.loadtest.reader import Reader, Span
from percolator_cli.loadtest.reference import UNKNOWN, Reference

Expected = Mapping[Channel, "array[int]"]
"""What clients should receive, by channel: seqs in ascending order."""
Missing = dict[Channel, list[int]]


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


def expect(published: Mapping[Channel, Iterable[int]], reference: Reference) -> Expected:
    """Return the seqs that were published, received by any client, or referred to by a `prev`.

    Nothing is expected of prices that other publishers send: the last one may be older than a
    client, which then gets it as a snapshot.
    """
    seqs: dict[Channel, array[int]] = {}
    for channel in {*published, *reference.tracks}:
        track = reference.tracks[channel]
        known = set(published.get(channel, ()))
        if known or channel.kind.lossless:
            first = track.seqs[0] if track.seqs else 0
            known |= {*track.seqs, *(prev for prev in track.prevs if prev > 0 and prev >= first)}
        seqs[channel] = array("q", sorted(known))
    return seqs


def wrong_prev(expected: Expected, reference: Reference) -> "array[int]":
    """Return the indexes of messages whose `prev` is not the event before, in ascending order."""
    found = []
    for channel, seqs in expected.items():
        track = reference.tracks[channel]
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
        gaps: defaultdict[Channel, list[tuple[int, int]]] = defaultdict(list)
        for channel, start, end in reader.gaps:
            gaps[channel].append((start, end))
        spans = reader.all_spans()
        if spans not in self._settled:
            self._settled[spans] = self._compare(spans)
        account, missing = self._settled[spans]
        own = Account(altered=reader.altered, gaps=len(reader.gaps))
        for channel, seqs in missing.items():
            until = math.inf if to_the_end else max(self._received(spans, channel), default=0)
            left = [seq for seq in seqs if (reader.since or 0) < seq <= until]
            if not channel.kind.lossless:
                last = left[-1:] if left and left[-1] == self._expected[channel][-1] else []
                own.conflated += len(left) - len(last)
                left = last
            own.lost += len(left)
            # A gap of all markets is a gap of each.
            own.announced += _within(left, gaps[channel] + gaps[channel.wildcard])
        return account + own

    def _compare(self, spans: tuple[Span, ...]) -> tuple[Account, Missing]:
        """Return the counts shared by all clients with these spans, and the seqs they missed."""
        account, missing = Account(), Missing()
        for channel, expected in self._expected.items():
            received = self._received(spans, channel)
            seen = set(received)
            account.duplicated += len(received) - len(seen)
            account.out_of_order += _out_of_order(received)
            if len(seen) < len(expected):
                missing[channel] = [seq for seq in expected if seq not in seen]
        for span in spans:
            start, end = (bisect_left(self._wrong_prev, at) for at in span[:2])
            account.wrong_prev += end - start
        return account, missing

    def _received(self, spans: Iterable[Span], channel: Channel) -> "array[int]":
        received = array("q")
        for span in spans:
            if span.stray is None:
                received += self._reference.tracks[channel].between(span.start, span.end)
            elif span.stray[0] == channel:
                received.append(span.stray[1])
        return received


def _within(seqs: Iterable[int], gaps: Iterable[tuple[int, int]]) -> int:
    """Count the seqs, which ascend, that are in a gap."""
    found = end = 0
    ahead = sorted(gaps, reverse=True)
    for seq in seqs:
        while ahead and ahead[-1][0] < seq:
            end = max(end, ahead.pop()[1])
        found += seq < end
    return found


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
