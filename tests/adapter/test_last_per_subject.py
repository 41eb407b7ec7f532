"""The newest event of each subject up to a seq, whatever else the stream holds."""

from collections.abc import AsyncIterator

import pytest

from percolator.errors import NatsUnreachableError
from percolator.jetstream import direct, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect
from percolator.jetstream.last_per_subject import last_per_subject
from tests.gateway import event_json
from tests.nats_server import NatsServer


@pytest.fixture
async def client(nats_url: str, stream_name: str) -> AsyncIterator[NatsClient]:
    """A connection to a NATS with the test's stream."""
    connected = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    await stream.ensure(connected, stream_name)
    yield connected
    await connected.close()


async def publish(client: NatsClient, kind: str, slab: str, payload: bytes | None = None) -> int:
    """Publish an event, or any payload; return its seq."""
    if payload is None:
        payload = event_json(kind)
    return (await client.jetstream().publish(f"percolator.{kind}.{slab}", payload)).seq


async def seqs(client: NatsClient, name: str, pattern: str) -> dict[str, int]:
    """The seq of the newest valid event of each subject in the stream."""
    end = (await client.jetstream().stream_info(name)).state.last_seq
    found = await last_per_subject(client, name, pattern, end)
    return {event.subject: event.seq for event in found}


async def test_an_empty_stream_has_no_newest_events(client: NatsClient, stream_name: str) -> None:
    """Neither has a pattern that matches no subject."""
    assert await seqs(client, stream_name, "percolator.price.>") == {}
    await publish(client, "price", "SOL")
    assert await seqs(client, stream_name, "percolator.trade.>") == {}


async def test_each_matching_subject_returns_its_newest_event(
    client: NatsClient, stream_name: str
) -> None:
    """With its payload; other kinds do not match."""
    await publish(client, "price", "SOL")
    btc = await publish(client, "price", "BTC", event_json("price", price=7))
    sol = await publish(client, "price", "SOL")
    end = await publish(client, "trade", "SOL")
    found = await last_per_subject(client, stream_name, "percolator.price.>", end)
    assert {event.subject: event.seq for event in found} == {
        "percolator.price.SOL": sol,
        "percolator.price.BTC": btc,
    }
    assert event_json("price", price=7) in {event.payload for event in found}


async def test_events_after_the_given_seq_are_ignored(client: NatsClient, stream_name: str) -> None:
    """At that seq, they did not exist yet."""
    first = await publish(client, "price", "SOL")
    await publish(client, "price", "SOL")
    await publish(client, "price", "BTC")
    found = await last_per_subject(client, stream_name, "percolator.price.>", first)
    assert [(event.subject, event.seq) for event in found] == [("percolator.price.SOL", first)]


async def test_more_subjects_than_one_answer_holds_are_all_returned(
    client: NatsClient, stream_name: str
) -> None:
    """NATS allows at most 1,024 per request."""
    expected = {}
    for number in range(1_200):
        subject = f"percolator.funding.S{number}"
        await client.publish(subject, event_json("funding"))
        expected[subject] = number + 1
    await publish(client, "trade", "SOL")
    assert await seqs(client, stream_name, "percolator.funding.>") == expected


async def test_invalid_events_do_not_hide_the_valid_one_before_them(
    client: NatsClient, stream_name: str
) -> None:
    """A subject with only invalid events is left out."""
    good = await publish(client, "price", "SOL")
    for payload in (b"junk", b"", b'{"price":-1}'):
        await publish(client, "price", "SOL", payload)
        await publish(client, "price", "JUNK", payload)
        await publish(client, "price", "A.B")
    assert await seqs(client, stream_name, "percolator.price.>") == {"percolator.price.SOL": good}


async def test_a_direct_get_raises_in_time_when_nats_goes_silent(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a start does not wait forever."""
    monkeypatch.setattr(direct, "ANSWER_SECONDS", 0.2)
    client = await connect(NatsAddress(nats_process.url), name="test", reconnect=False)
    await stream.ensure(client, "PERCOLATOR")
    request: dict[str, object] = {"multi_last": ["percolator.price.>"]}
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="the stream PERCOLATOR cannot be read"):
            await direct.direct_get(client, "PERCOLATOR", request)
    finally:
        nats_process.thaw()
        await client.close()


async def test_a_direct_get_raises_in_time_when_the_stream_is_missing(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was deleted meanwhile."""
    monkeypatch.setattr(direct, "ANSWER_SECONDS", 0.2)
    client = await connect(NatsAddress(nats_url), name="test", reconnect=False)
    with pytest.raises(NatsUnreachableError, match="cannot be read"):
        await direct.direct_get(client, "NOWHERE", {"multi_last": ["percolator.price.>"]})
    await client.close()


async def test_subjects_that_no_market_has_cost_a_start_nothing(
    client: NatsClient, stream_name: str
) -> None:
    """A long one would make the request too large, and a wildcard would ask for all subjects."""
    good = await publish(client, "price", "SOL")
    for slab in ("*", ">", "A.*", *(f"{number}.{'x' * 3_000}" for number in range(350))):
        await client.publish(f"percolator.price.{slab}", b"{}")
    await client.flush()
    assert await seqs(client, stream_name, "percolator.price.>") == {"percolator.price.SOL": good}


async def test_large_messages_are_read_in_several_batches(
    client: NatsClient, stream_name: str
) -> None:
    """None is missing, whatever the size of a batch."""
    sent = {}
    padding = " " * 7_000
    for number in range(100):
        payload = event_json("price", slab=f"M{number}")[:-1] + padding.encode() + b"}"
        sent[f"percolator.price.M{number}"] = await publish(client, "price", f"M{number}", payload)
    assert 2 * direct.MAX_BATCH_BYTES < 100 * 7_000
    assert await seqs(client, stream_name, "percolator.price.>") == sent
