"""Places in a stream: before a seq, of a time, and where something begins to hold."""

import asyncio
import random
import time
from bisect import bisect_left
from collections.abc import AsyncIterator

import pytest

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.direct import Stored
from percolator.jetstream.stream import definition
from percolator.jetstream.subject_history import PAGE, SubjectHistory

OURS, OTHER = "percolator.trade.SOL", "percolator.trade.BTC"
SHAPE = [(OURS, 900), (OTHER, 3_000), (OURS, 1), (OTHER, 800), (OURS, 5), (OTHER, 1), (OURS, 700)]
"""Bursts and holes, as markets have them."""


@pytest.fixture
async def history(nats_url: str, stream_name: str) -> AsyncIterator[SubjectHistory]:
    """One subject of a stream in which the events of two lie unevenly."""
    client = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    await client.jetstream().add_stream(definition(stream_name))
    for subject, count in SHAPE:
        for _ in range(count - 1):
            await client.publish(subject, b"{}")
        await client.jetstream().publish(subject, b"{}")
    yield SubjectHistory(client, stream_name, OURS)
    await client.close()


def own_seqs() -> list[int]:
    """Return the seqs of our subject."""
    seqs: list[int] = []
    at = 1
    for subject, count in SHAPE:
        seqs += range(at, at + count) if subject == OURS else ()
        at += count
    return seqs


async def test_a_place_before_a_seq_has_enough_events_and_few_more(
    history: SubjectHistory,
) -> None:
    """However unevenly they lie."""
    seqs, chance = own_seqs(), random.Random(1)  # noqa: S311 - test data
    for _ in range(60):
        before, wanted = chance.randrange(1, seqs[-1] + 100), chance.randrange(1, 1_001)
        place = await history.place_before(before, wanted)
        earlier = bisect_left(seqs, before)
        found = earlier - bisect_left(seqs, place)
        assert min(wanted, earlier) <= found <= wanted + PAGE, (before, wanted)


async def test_a_subject_without_events_has_no_place(history: SubjectHistory) -> None:
    """The seq itself is returned."""
    history._subject = "percolator.trade.NONE"
    assert await history.place_before(500, 10) == 500
    assert (await history.newest(), await history.newest_before(500)) == (None, None)
    assert ((await history.at(1)).events, await history.next_after(0)) == ([], None)


async def test_the_first_event_for_which_something_holds_is_found(
    history: SubjectHistory,
) -> None:
    """It is the first one at the place or after it."""
    seqs = own_seqs()
    for wanted in (seqs[1], seqs[450], seqs[899], seqs[900], seqs[903], seqs[-1]):

        def holds(stored: Stored, wanted: int = wanted) -> bool:
            return stored.seq >= wanted

        place = await history.place_where(seqs[0], seqs[-1], holds)
        assert (await history.at(place, 1)).events[0].seq == wanted


async def test_events_are_found_by_the_time_at_which_they_were_stored(
    history: SubjectHistory,
) -> None:
    """To the millisecond; a time long past or far ahead is one too."""
    newest = await history.newest()
    assert newest is not None
    times = []
    at = 1
    while events := (await history.at(at)).events:
        times += [(stored.time, stored.seq) for stored in events]
        at = events[-1].seq + 1
    assert [seq for _, seq in times] == own_seqs()
    for ms in {stored // 1_000_000 + extra for stored, _ in times[::97] for extra in (0, 1)}:
        expected = next((seq for stored, seq in times if stored >= ms * 1_000_000), None)
        events = (await history.since(ms, 1)).events
        assert (events[0].seq if events else None) == expected
    assert (await history.since(0, 1)).events[0].seq == 1
    for later in (int(time.time() * 1_000) + 10_000, 2**53 - 1):
        assert (await history.since(later)).events == []


async def test_a_search_for_a_place_can_be_cancelled(history: SubjectHistory) -> None:
    """Although the NATS library swallows a cancellation that comes while it writes."""
    task = asyncio.create_task(history.place_where(1, 10**15, lambda _: False))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
