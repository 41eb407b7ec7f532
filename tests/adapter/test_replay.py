"""Replay from a stream whose replicas do not all stand at the same event."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import nats
import pytest
from nats.aio.client import Client

from percolator.jetstream import direct, replay, stream
from percolator.jetstream.direct import Stored
from percolator.jetstream.replay import Replay
from tests.gateway import event_json

SUBJECT = "percolator.trade.SOL"
Lag = Callable[[int | None], None]


@dataclass
class Reading:
    """What a replay knows of the feed."""

    client: Client
    created: str


@pytest.fixture
async def reading(nats_url: str, stream_name: str) -> AsyncIterator[Reading]:
    """A feed's connection to a NATS that has the test's stream."""
    connected = await nats.connect(nats_url)
    state = await stream.ensure(connected, stream_name)
    yield Reading(connected, state.epoch)
    await connected.close()


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> Lag:
    """Have a replica answer that has the stream up to a seq only; None: one that has it all."""
    end: int | None = None

    async def answer(client: Client, name: str, request: dict[str, object]) -> list[Stored]:
        found = await direct.direct_get(client, name, request)
        return [stored for stored in found if end is None or stored.seq <= end]

    def set_end(seq: int | None) -> None:
        nonlocal end
        end = seq

    monkeypatch.setattr(replay, "direct_get", answer)
    return set_end


async def publish(reading: Reading, count: int) -> list[int]:
    """Publish trades; give their seqs."""
    context = reading.client.jetstream()
    return [(await context.publish(SUBJECT, event_json("trade"))).seq for _ in range(count)]


async def test_a_replica_without_the_last_event_known_is_no_gap(
    reading: Reading, stream_name: str, lag: Lag
) -> None:
    """The leader says that it is still there; the next page is asked for again."""
    seqs = await publish(reading, 3)
    source = Replay(lambda: reading, stream_name)
    first = await source.page(SUBJECT, 0, None)
    seqs += await publish(reading, 1)
    lag(seqs[1])
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert (page.events, page.whole, page.end) == ([], True, False)
    lag(None)
    page = await source.page(SUBJECT, seqs[2], page.last)
    assert ([event.seq for event in page.events], page.whole) == (seqs[3:], True)


async def test_a_replica_without_the_last_event_is_no_gap_at_the_end_either(
    reading: Reading, stream_name: str, lag: Lag
) -> None:
    """Nothing has come since, and nothing is missing."""
    seqs = await publish(reading, 3)
    source = Replay(lambda: reading, stream_name)
    lag(seqs[0])
    page = await source.page(SUBJECT, seqs[2], None)
    assert (page.events, page.whole, page.end) == ([], True, True)


async def test_a_last_event_that_was_dropped_is_a_gap(reading: Reading, stream_name: str) -> None:
    """Whether or not anything came after it."""
    seqs = await publish(reading, 3)
    source = Replay(lambda: reading, stream_name)
    first = await source.page(SUBJECT, 0, None)
    await reading.client.jetstream().purge_stream(stream_name)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert (page.events, page.whole, page.end) == ([], False, True)
    seqs += await publish(reading, 1)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert ([event.seq for event in page.events], page.whole) == (seqs[3:], False)
