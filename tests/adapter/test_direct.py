"""An event is the same in whichever way it is read: as it was stored, with its message id."""

import asyncio
from itertools import count

import pytest

from percolator.jetstream import direct, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect, hang_up
from percolator.jetstream.consumer import Consumer
from percolator.jetstream.direct import MESSAGE_ID, Stored
from percolator.jetstream.errors import ConsumerError
from tests.client import PATIENCE
from tests.gateway import event_json


async def _consumed(client: NatsClient, name: str, wanted: int) -> list[Stored]:
    """Read events as the feed does."""
    found: list[Stored] = []

    def receive(event: Stored) -> None:
        found.append(event)
        if len(found) == wanted:
            consumer.fail(ConsumerError("enough"))

    clock = asyncio.get_running_loop().time
    consumer = Consumer(client, name, clock=clock, on_event=receive, paused=lambda: False)
    with pytest.raises(ConsumerError, match="enough"):
        await asyncio.wait_for(consumer.run(0, lambda: None, within=PATIENCE), PATIENCE)
    return found


async def test_an_event_is_the_same_in_each_way_of_reading_it(
    nats_url: str, stream_name: str
) -> None:
    """From a consumer, with a direct get, and from the stream's leader."""
    headers: list[dict[str, str] | None] = [
        {MESSAGE_ID: "5sig:SOL:1"},
        None,
        {"x": "y"},
        {"x": "y", MESSAGE_ID: "ünï"},
    ]
    client = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    try:
        await stream.ensure(client, stream_name)
        numbers = count(1)
        for each in headers:
            payload = event_json("price", price=next(numbers))
            await client.jetstream().publish("percolator.price.SOL", payload, headers=each)
        consumed = await _consumed(client, stream_name, len(headers))
        batch = await direct.direct_get(client, stream_name, {"seq": 1, "batch": len(headers)})
        asked = [await direct.ask_leader(client, stream_name, {"seq": e.seq}) for e in consumed]
    finally:
        await hang_up(client)
    assert [event.id for event in consumed] == ["5sig:SOL:1", "", "", "ünï"]
    assert batch.events == consumed
    assert asked == consumed
