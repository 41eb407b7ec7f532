"""The stream of candles, and what is asked of a stream to fold it, against a real NATS."""

import time
from collections.abc import AsyncIterator

import pytest

from percolator.errors import StreamConflictError
from percolator.jetstream import candles, stream
from percolator.jetstream.client import NatsClient
from tests.gateway import event_json, eventually
from tests.nats_client import connected
from tests.nats_server import NatsServer

NAME = "PERCOLATOR_CANDLES"
EVENTS = "PERCOLATOR"
SUBJECT = "percolator.candle.SOL"


@pytest.fixture
async def client(nats_process: NatsServer) -> AsyncIterator[NatsClient]:
    """A connection to a NATS with both streams."""
    found = await connected(nats_process.url)
    await stream.ensure(found, EVENTS)
    await candles.ensure(found, NAME)
    yield found
    await found.close()


async def write(client: NatsClient, payload: bytes, after: int, message_id: str) -> int | None:
    """Write one candle."""
    context = client.jetstream()
    return await candles.write(context, NAME, SUBJECT, payload, message_id=message_id, after=after)


async def test_an_existing_stream_of_candles_is_accepted(client: NatsClient) -> None:
    """What is up to the operator may differ, and it may take other subjects too."""
    config = candles.definition(NAME)
    config.subjects = [*(config.subjects or []), "other"]
    config.max_age = 3600
    await client.jetstream().update_stream(config)
    await candles.ensure(client, NAME)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"subjects": ["percolator.candle.SOL"]}, "subjects is"),
        ({"allow_direct": False}, "allow_direct is False, not True"),
    ],
)
async def test_an_unfit_stream_of_candles_is_refused(
    client: NatsClient, change: dict[str, object], text: str
) -> None:
    await client.jetstream().update_stream(candles.definition(NAME).evolve(**change))
    with pytest.raises(StreamConflictError, match=text) as error:
        await candles.ensure(client, NAME)
    assert "--candles-stream" in str(error.value)


async def test_a_stream_of_candles_whose_subjects_are_taken_names_the_flag(
    client: NatsClient,
) -> None:
    with pytest.raises(StreamConflictError, match=r"OTHER.*use it with --candles-stream"):
        await candles.ensure(client, "OTHER")


async def test_of_two_writers_one_is_first(client: NatsClient) -> None:
    """The other is refused, with the same id or another."""
    assert await write(client, b"1", 0, "a") == 1
    assert await write(client, b"1", 0, "a") is None
    assert await write(client, b"1", 0, "b") is None
    assert await write(client, b"2", 1, "c") == 2
    last = await candles.last_candle(client, NAME, SUBJECT)
    assert last
    assert (last.seq, last.payload) == (2, b"2")
    assert await candles.last_candle(client, NAME, "percolator.candle.X") is None


async def test_the_last_candle_of_each_of_many_markets_is_found(client: NatsClient) -> None:
    """More markets than one request may name."""
    markets = candles.SUBJECTS_PER_REQUEST + 5
    for number in range(markets):
        for value in (b"old", b"new"):
            await client.publish(f"percolator.candle.M{number}", value)
    await client.jetstream().publish("percolator.candle.LAST", b"new")
    found = await candles.last_candles(client, NAME)
    assert len(found) == markets + 1
    assert {each.payload for each in found.values()} == {b"new"}


async def test_a_subject_that_is_not_a_market_s_is_not_asked_for(client: NatsClient) -> None:
    await client.jetstream().publish("percolator.candle.a*b", b"x")
    assert await candles.last_candles(client, NAME) == {}


async def test_a_stream_s_time_is_that_of_its_server(client: NatsClient) -> None:
    """To the millisecond."""
    before = time.time_ns() // 1_000_000
    await client.jetstream().publish("percolator.price.SOL", event_json("price"))
    found = await candles.time_of(client, EVENTS)
    assert before <= found.now <= time.time_ns() // 1_000_000
    assert found.state.last_seq == 1


async def test_the_seq_before_a_time_is_found(client: NatsClient) -> None:
    """Before the first event, between two, and after the last."""
    context, stored = client.jetstream(), []
    for _ in range(3):
        await context.publish("percolator.price.SOL", event_json("price"))
        stored.append((await candles.time_of(client, EVENTS)).now)
        await eventually(lambda: time.time_ns() // 1_000_000 > stored[-1] + 1)
    state = (await candles.time_of(client, EVENTS)).state
    assert await candles.seq_before(client, EVENTS, state, 0) == 0
    for number, at in enumerate(stored, 1):
        assert await candles.seq_before(client, EVENTS, state, at + 1) == number
    await client.jetstream().purge_stream(EVENTS)
    state = (await candles.time_of(client, EVENTS)).state
    assert await candles.seq_before(client, EVENTS, state, 0) == 3
