"""Replay from a stream whose replicas are not all up to date."""

import logging
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

import pytest
from nats.aio.client import Client

from percolator.errors import NatsUnreachableError
from percolator.jetstream import direct, replay
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Batch
from percolator.jetstream.feed import Feed
from percolator.jetstream.replay import Replay
from percolator.jetstream.stream import definition
from tests.adapter.feeding import SUBJECT, dialer, reading
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

    async def answer(client: NatsClient, name: str, request: dict[str, object]) -> Batch:
        found, more = await direct.direct_get(client, name, request)
        return Batch([stored for stored in found if end is None or stored.seq <= end], more)

    def set_end(seq: int | None) -> None:
        nonlocal end
        end = seq

    monkeypatch.setattr(replay, "direct_get", answer)
    return set_end


def client_of(feed: Feed) -> Client:
    """The feed's connection."""
    assert feed.client is not None
    return feed.client


@pytest.fixture
async def source(feed: Feed, nats_url: str, stream_name: str) -> AsyncIterator[Replay]:
    """A replay of what the feed reads, over a connection of its own."""
    found = Replay(lambda: feed, stream_name, dialer(nats_url).dial)
    yield found
    await found.close()


async def publish(feed: Feed, count: int) -> list[int]:
    """Publish trades; return their seqs."""
    context = client_of(feed).jetstream()
    return [(await context.publish(SUBJECT, event_json("trade"))).seq for _ in range(count)]


async def test_a_replica_that_lacks_the_last_known_event_causes_no_gap(
    feed: Feed, source: Replay, lag: Lag
) -> None:
    """The leader still holds the event, and has the next one."""
    seqs = await publish(feed, 3)
    first = await source.page(SUBJECT, 0, None)
    seqs += await publish(feed, 1)
    lag(seqs[1])
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert ([event.seq for event in page.events], page.whole, page.end) == (seqs[3:], True, False)


async def test_a_replica_that_lacks_the_last_event_causes_no_gap_at_the_end(
    feed: Feed, source: Replay, lag: Lag
) -> None:
    """No event followed, and none is missing."""
    seqs = await publish(feed, 3)
    lag(seqs[0])
    page = await source.page(SUBJECT, seqs[2], None)
    assert (page.events, page.whole, page.end) == ([], True, True)


async def test_a_page_is_not_whole_if_the_stream_dropped_the_last_known_event(
    feed: Feed, source: Replay, stream_name: str
) -> None:
    """Whether or not an event followed."""
    seqs = await publish(feed, 3)
    first = await source.page(SUBJECT, 0, None)
    await client_of(feed).jetstream().purge_stream(stream_name)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert (page.events, page.whole, page.end) == ([], False, True)
    seqs += await publish(feed, 1)
    page = await source.page(SUBJECT, seqs[2], first.events[-1])
    assert ([event.seq for event in page.events], page.whole) == (seqs[3:], False)


async def test_each_page_logs_a_debug_line(
    feed: Feed, source: Replay, caplog: pytest.LogCaptureFixture
) -> None:
    """With the number of events, the subject and the seq before them."""
    seqs = await publish(feed, 3)
    with caplog.at_level(logging.DEBUG, logger=replay.__name__):
        await source.page(SUBJECT, seqs[0], None)
    lines = [record.getMessage() for record in caplog.records if record.name == replay.__name__]
    assert lines == [f"replay: 2 events of {SUBJECT} after seq {seqs[0]}"]


async def test_a_replay_has_a_connection_of_its_own_and_opens_another_when_it_is_lost(
    feed: Feed, source: Replay
) -> None:
    """What it reads does not wait in the feed's connection."""
    seqs = await publish(feed, 3)
    assert (await source.page(SUBJECT, 0, None)).events
    first = source._client
    assert first is not None
    assert first is not feed.client
    await first.close()
    page = await source.page(SUBJECT, seqs[0], None)
    assert [event.seq for event in page.events] == seqs[1:]
    assert source._client is not first


async def test_a_replay_over_large_messages_gets_small_pages(
    feed: Feed, source: Replay, stream_name: str
) -> None:
    """And each event once, also if the last known event alone fills a page."""
    context = client_of(feed).jetstream()
    config = (await context.stream_info(stream_name)).config
    await context.update_stream(config.evolve(max_msg_size=-1))  # as in older streams
    large = b"x" * (direct.MAX_BATCH_BYTES + 1)
    for _ in range(5):
        await context.publish(SUBJECT, large)
    found: list[int] = []
    page = await source.page(SUBJECT, 0, None)
    while not page.end:
        assert page.whole
        assert len(page.events) == 1
        found.append(page.events[0].seq)
        page = await source.page(SUBJECT, found[-1], page.events[-1])
    assert found == [1, 2, 3, 4, 5]


async def test_a_replay_never_reads_another_incarnation_than_the_feed(
    feed: Feed, source: Replay, stream_name: str
) -> None:
    """Neither on its first page nor on a later one."""
    await publish(feed, 3)
    first = await source.page(SUBJECT, 0, None)
    context, created = client_of(feed).jetstream(), feed.created
    await context.delete_stream(stream_name)
    await context.add_stream(definition(stream_name))
    for _ in range(5):
        await context.publish(SUBJECT, event_json("trade"))
    stale = SimpleNamespace(client=feed.client, created=created)
    other = Replay(lambda: cast(Feed, stale), stream_name, source._connect)
    for last in (None, first.events[-1]):
        with pytest.raises(NatsUnreachableError, match="the stream was replaced"):
            await other.page(SUBJECT, 3, last)
    await other.close()
