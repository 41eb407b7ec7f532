"""The recorded market: its markets, the times of its events, and how it is played."""

import asyncio
import json
import time
from collections import Counter
from itertools import pairwise

import pytest

from percolator.app import recording
from percolator.model.kinds import TRADE
from tests.channels import decode


def test_two_markets_are_the_recording() -> None:
    """Every event, in order and at its time."""
    recorded = list(recording.with_funding(recording.recording()))
    for slab in recording.SLABS:
        played = [event for event in recording.markets(2) if event.slab == slab]
        assert played == [event for event in recorded if event.slab == slab]


def test_one_market_is_the_first_of_the_recording() -> None:
    """Without events of the other."""
    assert {event.slab for event in recording.markets(1)} == {"BTC"}


def test_more_markets_are_shifted_copies() -> None:
    """Each has as many events as its original, in order, but at other times."""
    played = recording.markets(5)
    assert all(one.at <= other.at for one, other in pairwise(played))
    counts = Counter(event.slab for event in played)
    assert set(counts) == {"BTC", "ETH", "BTC-2", "ETH-2", "BTC-3"}
    assert counts["BTC"] == counts["BTC-2"] == counts["BTC-3"]
    starts = {
        slab: next(e.fields for e in played if (e.slab, e.kind) == (slab, TRADE))
        for slab in ("BTC", "BTC-2", "BTC-3")
    }
    assert len({json.dumps(fields) for fields in starts.values()}) == 3


@pytest.mark.parametrize("slabs", [1, 3])
async def test_played_events_are_valid(slabs: int) -> None:
    """All of them, each on the subject of its market and with a message id of its own."""
    published: Counter[str] = Counter()

    ids: set[str] = set()

    async def publish(subject: str, payload: bytes, message_id: str) -> None:
        event = decode(subject, payload, time.time_ns() // 1_000_000)
        published[event.slab] += 1
        ids.add(message_id)

    for _ in range(2):
        count = await recording.play(publish, speed=0, slabs=slabs)
    assert 2 * count == published.total() == 2 * len(recording.markets(slabs))
    assert len(ids) == 2 * count


async def test_each_turn_of_a_loop_has_message_ids_of_its_own() -> None:
    """JetStream would otherwise drop the second turn."""
    ids: list[str] = []
    wanted = len(recording.markets(1)) + 1
    second_turn = asyncio.Event()

    async def publish(_subject: str, _payload: bytes, message_id: str) -> None:
        ids.append(message_id)
        if len(ids) == wanted:
            second_turn.set()

    playing = asyncio.create_task(recording.play(publish, speed=0, slabs=1, loop=True))
    await second_turn.wait()
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    assert len(ids) == len(set(ids)) >= wanted
