"""Replay from a stream whose replicas are not all up to date."""

import logging
from collections.abc import AsyncIterator, Callable

import pytest
from nats.aio.client import Client

from percolator.jetstream import direct, replay
from percolator.jetstream.direct import Stored
from percolator.jetstream.feed import Feed
from percolator.jetstream.replay import Replay
from tests.adapter.feeding import SUBJECT, reading
from tests.gateway import event_json

Lag = Callable[[int | None], None]


@pytest.fixture
async def feed(nats_url: str, stream_name: str) -> AsyncIterator[Feed]:
    """A feed that reads the test's own stream."""
    async with reading(nats_url, stream=stream_name) as (_, running):
        yield running


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch) -> Lag:
    """Sets the seq up to which the replica that answers has the stream; None: all of it."""
    end: int | None = None

    async def answer(client: Client, name: str, request: dict[str, object]) -> list[Stored]:
        found = await direct.direct_get(client, name, request)
        return [stored for stored in found if end is None or stored.seq <= end]

    def set_end(seq: int | None) -> None:
        nonlocal end
        end = seq

    monkeypatch.setattr(replay, "direct_get", answer)
    return set_end


def client_of(feed: Feed) -> Client:
    """The feed's connection."""
    assert feed.client is not None
    return feed.client


async def publish(feed: Feed, count: int) -> list[int]:
    """Publish trades; return their seqs."""
    context = client_of(feed).jetstream()
    return [(await context.publish(SUBJECT, event_json("trade"))).seq for _ in range(count)]


async def test_a_replica_that_lacks_the_last_known_event_causes_no_gap(
    feed: Feed, stream_name: str, lag: Lag
) -> None:
    """The leader still holds the event, so the replay requests the next page again."""
    seqs = await publish(feed, 3)
    source = Replay(lambda: feed, stream_name)
    first = await source.page(SUBJECT, 0, None)
    seqs += await publish(feed, 1)
    lag(seqs[1])
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert (page.events, page.whole, page.end) == ([], True, False)
    lag(None)
    page = await source.page(SUBJECT, seqs[2], page.last)
    assert ([event.seq for event in page.events], page.whole) == (seqs[3:], True)


async def test_a_replica_that_lacks_the_last_event_causes_no_gap_at_the_end(
    feed: Feed, stream_name: str, lag: Lag
) -> None:
    """No event followed, and none is missing."""
    seqs = await publish(feed, 3)
    source = Replay(lambda: feed, stream_name)
    lag(seqs[0])
    page = await source.page(SUBJECT, seqs[2], None)
    assert (page.events, page.whole, page.end) == ([], True, True)


async def test_a_page_is_not_whole_if_the_stream_dropped_the_last_known_event(
    feed: Feed, stream_name: str
) -> None:
    """Whether or not an event followed."""
    seqs = await publish(feed, 3)
    source = Replay(lambda: feed, stream_name)
    first = await source.page(SUBJECT, 0, None)
    await client_of(feed).jetstream().purge_stream(stream_name)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert (page.events, page.whole, page.end) == ([], False, True)
    seqs += await publish(feed, 1)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert ([event.seq for event in page.events], page.whole) == (seqs[3:], False)


async def test_each_page_logs_a_debug_line(
    feed: Feed, stream_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the number of events, the subject and the seq before them."""
    seqs = await publish(feed, 3)
    source = Replay(lambda: feed, stream_name)
    with caplog.at_level(logging.DEBUG, logger=replay.__name__):
        await source.page(SUBJECT, seqs[0], None)
    lines = [record.getMessage() for record in caplog.records if record.name == replay.__name__]
    assert lines == [f"replay: 2 events of {SUBJECT} after seq {seqs[0]}"]
