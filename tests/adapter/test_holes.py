"""Holes in streams that lack too many seqs to list them, and delete markers."""

from collections.abc import AsyncIterator

import pytest

from percolator.jetstream import holes
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import ask_leader, direct_get
from percolator.jetstream.stream import definition
from percolator.jetstream.watched import WatchedStream
from tests.adapter.feeding import client_of, reading
from tests.gateway import event_json, eventually

A, B, PRICE = "percolator.trade.A", "percolator.trade.B", "percolator.price.A"
TRADES = "percolator.trade.*"


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[NatsClient]:
    """A connection as a gateway has it."""
    async with client_of(nats_url) as found:
        yield found


@pytest.fixture
def _unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "MAX_LISTED", 0)


async def filled(client: NatsClient, name: str, *subjects: str, **changes: object) -> None:
    """Create a stream that differs from our definition, with an event on each of the subjects."""
    context = client.jetstream()
    await context.add_stream(definition(name).evolve(**changes))
    for subject in subjects:
        await context.publish(subject, event_json("trade"))


async def missing(
    client: NatsClient, name: str, subject: str, after: int, last: int | None
) -> list[int] | None:
    """Return what may have been lost of a subject after a seq."""
    state = await WatchedStream(name).look(client, timeout=4)
    held = await ask_leader(client, name, {"seq": last}) if last else None
    between = (after, state.last_seq + 1)
    return await holes.unexplained(client, name, state, between, subject=subject, last=held)


@pytest.mark.usefixtures("_unlisted")
async def test_a_stream_with_too_many_holes_to_list_is_trusted_to_have_a_limit(
    client: NatsClient, stream_name: str
) -> None:
    """A market of which the last event is held has lost nothing; one without any may have."""
    await filled(client, stream_name, A, *[PRICE] * 4, B, A, max_msgs_per_subject=2)
    assert await missing(client, stream_name, A, 1, 1) == []
    assert await missing(client, stream_name, B, 1, None) == [2]
    assert await missing(client, stream_name, TRADES, 1, 1) == []
    assert await missing(client, stream_name, TRADES, 1, None) == [2]


@pytest.mark.usefixtures("_unlisted")
async def test_one_full_market_puts_all_markets_in_doubt(
    client: NatsClient, stream_name: str
) -> None:
    """Up to its first event."""
    await filled(client, stream_name, B, *[A] * 4, max_msgs_per_subject=2)
    assert await missing(client, stream_name, TRADES, 1, 1) is None
    assert await missing(client, stream_name, TRADES, 4, 4) == []


@pytest.mark.usefixtures("_unlisted")
async def test_a_stream_whose_messages_expire_is_never_trusted(
    client: NatsClient, stream_name: str
) -> None:
    """If its holes cannot be listed, any seq may be one."""
    await filled(client, stream_name, B, *[A] * 4, max_msgs_per_subject=2, allow_msg_ttl=True)
    assert await missing(client, stream_name, B, 1, 1) is None


async def test_delete_markers_are_known_in_every_way_of_reading(
    nats_url: str, stream_name: str, client: NatsClient
) -> None:
    """From a consumer they are passed over; an empty event of a publisher is not one."""
    await filled(client, stream_name, max_age=1, duplicate_window=1, subject_delete_marker_ttl=60)
    context = client.jetstream()
    async with reading(nats_url, stream=stream_name) as (sink, feed):
        await context.publish(A, event_json("trade"))
        await eventually(lambda: feed.seq == 2)  # after a second, the marker
        assert sink.seqs == [1]
        await context.publish(A, b"")
        await eventually(lambda: sink.seqs == [1, 3])
        assert sink.skipped == [2]
    (read, *_), _ = await direct_get(client, stream_name, {"seq": 2, "batch": 1})
    asked = await ask_leader(client, stream_name, {"seq": 2})
    assert asked == read
    assert read.marker
