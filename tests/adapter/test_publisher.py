"""The publisher: every event is acknowledged, in order, and stored once if it has an id."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import publisher, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from tests.client import PATIENCE
from tests.nats_server import NatsServer

SUBJECT = "percolator.price.SOL"


@pytest.fixture
async def client(nats_url: str, stream_name: str) -> AsyncIterator[Client]:
    """A connection to a NATS with the test's stream."""
    connected = await nats.connect(nats_url)
    await stream.ensure(connected, stream_name)
    yield connected
    await connected.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only a fraction of a second."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.1)
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.02)


async def test_publish_returns_the_seq_of_the_event(client: Client, stream_name: str) -> None:
    """The stream counts from 1."""
    events = Publisher(client, stream_name)
    assert [await events.publish(SUBJECT, b"{}") for _ in range(3)] == [1, 2, 3]


async def test_events_published_at_once_keep_their_order(client: Client, stream_name: str) -> None:
    """With acks in flight; the payloads are unchanged."""
    events = Publisher(client, stream_name)
    payloads = [b"%d" % number for number in range(2_000)]
    seqs = await asyncio.gather(*(events.publish(SUBJECT, payload) for payload in payloads))
    assert seqs == list(range(1, 2_001))
    last = await client.jetstream().get_msg(stream_name, 2_000)
    assert last.data == payloads[-1]


async def test_the_stream_stores_an_event_with_an_id_once(client: Client, stream_name: str) -> None:
    """A second event with the same id gets the seq of the first."""
    events = Publisher(client, stream_name)
    first = await events.publish(SUBJECT, b"{}", message_id="a")
    assert await events.publish(SUBJECT, b"{}", message_id="a") == first
    assert await events.publish(SUBJECT, b"{}", message_id="b") == first + 1


@pytest.mark.usefixtures("quick")
async def test_publish_says_what_to_do_when_the_stream_is_missing(nats_url: str) -> None:
    """A gateway creates the stream."""
    client = await nats.connect(nats_url)
    with pytest.raises(NatsUnfitError, match="no stream accepts percolator"):
        await Publisher(client, "PERCOLATOR").publish(SUBJECT, b"{}")
    await client.close()


async def test_publish_fails_when_another_stream_has_the_subject(client: Client) -> None:
    """No gateway would read the event there."""
    with pytest.raises(
        NatsUnfitError, match=r"JetStream refuses the event \(.+\): check the stream ANOTHER"
    ):
        await Publisher(client, "ANOTHER").publish(SUBJECT, b"{}")


@pytest.mark.parametrize("message_id", [None, "a"])
async def test_publish_fails_at_once_when_the_event_is_too_large(
    client: Client, stream_name: str, message_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry would not make it smaller, and here it would take an hour."""
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 3_600)
    events = Publisher(client, stream_name)
    too_large = b"x" * (client.max_payload + 1)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(
            NatsUnfitError,
            match="the event has 1,048,577 bytes, but NATS accepts at most 1,048,576: ",
        ):
            await events.publish(SUBJECT, too_large, message_id)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("message_id", [None, "a"])
async def test_publish_fails_when_no_ack_comes(
    nats_process: NatsServer, message_id: str | None
) -> None:
    """After some retries, if the event has an id."""
    client = await nats.connect(nats_process.url)
    await stream.ensure(client, "PERCOLATOR")
    events = Publisher(client, "PERCOLATOR")
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="NATS does not acknowledge the event"):
            await events.publish(SUBJECT, b"{}", message_id)
    finally:
        nats_process.thaw()
        await client.close()


async def test_publish_retries_an_event_with_an_id_while_nats_restarts(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the event is stored; it is stored once."""
    monkeypatch.setattr(publisher, "ACK_SECONDS", 0.3)
    client = await connect(NatsAddress(nats_process.url), name="test", reconnect=True)
    await stream.ensure(client, "PERCOLATOR")
    events = Publisher(client, "PERCOLATOR")
    nats_process.kill()
    publishing = asyncio.create_task(events.publish(SUBJECT, b"{}", message_id="a"))
    await asyncio.sleep(0)
    nats_process.start()
    assert await publishing == 1
    assert (await client.jetstream().stream_info("PERCOLATOR")).state.messages == 1
    await client.close()
