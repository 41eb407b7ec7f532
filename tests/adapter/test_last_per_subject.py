"""Heads: the newest event of each subject, as of a seq, whatever else the stream holds."""

from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client

from percolator.errors import NatsUnreachableError
from percolator.jetstream import direct, stream
from percolator.jetstream.last_per_subject import last_per_subject
from tests.gateway import event_json
from tests.nats_server import NatsServer


@pytest.fixture
async def client(nats_url: str, stream_name: str) -> AsyncIterator[Client]:
    """A connection to a NATS that has the test's stream."""
    connected = await nats.connect(nats_url)
    await stream.ensure(connected, stream_name)
    yield connected
    await connected.close()


async def publish(client: Client, kind: str, slab: str, payload: bytes | None = None) -> int:
    """Publish an event, or something else; give its seq."""
    if payload is None:
        payload = event_json(kind)
    return (await client.jetstream().publish(f"percolator.{kind}.{slab}", payload)).seq


async def seqs(client: Client, name: str, pattern: str) -> dict[str, int]:
    """Give the seqs of the heads by subject, as of the end of the stream."""
    end = (await client.jetstream().stream_info(name)).state.last_seq
    return {head.subject: head.seq for head in await last_per_subject(client, name, pattern, end)}


async def test_an_empty_stream_has_none(client: Client, stream_name: str) -> None:
    """Nor has a pattern that nothing fits."""
    assert await seqs(client, stream_name, "percolator.price.>") == {}
    await publish(client, "price", "SOL")
    assert await seqs(client, stream_name, "percolator.trade.>") == {}


async def test_each_subject_gives_its_newest_event(client: Client, stream_name: str) -> None:
    """With its payload, and no other kind's."""
    await publish(client, "price", "SOL")
    btc = await publish(client, "price", "BTC", event_json("price", price=7))
    sol = await publish(client, "price", "SOL")
    end = await publish(client, "trade", "SOL")
    found = await last_per_subject(client, stream_name, "percolator.price.>", end)
    assert {head.subject: head.seq for head in found} == {
        "percolator.price.SOL": sol,
        "percolator.price.BTC": btc,
    }
    assert event_json("price", price=7) in {head.payload for head in found}


async def test_what_came_after_the_given_seq_is_not_seen(client: Client, stream_name: str) -> None:
    """As of that seq, nothing of it was there yet."""
    first = await publish(client, "price", "SOL")
    await publish(client, "price", "SOL")
    await publish(client, "price", "BTC")
    found = await last_per_subject(client, stream_name, "percolator.price.>", first)
    assert [(head.subject, head.seq) for head in found] == [("percolator.price.SOL", first)]


async def test_there_may_be_more_subjects_than_one_answer_holds(
    client: Client, stream_name: str
) -> None:
    """NATS answers for 1,024 at the most."""
    expected = {}
    for number in range(1_200):
        subject = f"percolator.funding.S{number}"
        await client.publish(subject, event_json("funding"))
        expected[subject] = number + 1
    await publish(client, "trade", "SOL")
    assert await seqs(client, stream_name, "percolator.funding.>") == expected


async def test_what_is_no_event_does_not_hide_the_one_before_it(
    client: Client, stream_name: str
) -> None:
    """However many of them came; a subject that had nothing else has no head."""
    good = await publish(client, "price", "SOL")
    for payload in (b"junk", b"", b'{"price":-1}'):
        await publish(client, "price", "SOL", payload)
        await publish(client, "price", "JUNK", payload)
        await publish(client, "price", "A.B")
    assert await seqs(client, stream_name, "percolator.price.>") == {"percolator.price.SOL": good}


async def test_a_nats_that_falls_silent_is_an_error_in_time(
    nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start-up does not wait for ever."""
    monkeypatch.setattr(direct, "ANSWER_SECONDS", 0.2)
    client = await nats.connect(nats_process.url)
    await stream.ensure(client, "PERCOLATOR")
    request: dict[str, object] = {"multi_last": ["percolator.price.>"]}
    nats_process.freeze()
    try:
        with pytest.raises(NatsUnreachableError, match="the stream PERCOLATOR cannot be read back"):
            await direct.direct_get(client, "PERCOLATOR", request)
    finally:
        nats_process.thaw()
        await client.close()


async def test_a_stream_that_is_not_there_is_an_error_in_time(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been deleted meanwhile."""
    monkeypatch.setattr(direct, "ANSWER_SECONDS", 0.2)
    client = await nats.connect(nats_url)
    with pytest.raises(NatsUnreachableError, match="cannot be read back"):
        await direct.direct_get(client, "NOWHERE", {"multi_last": ["percolator.price.>"]})
    await client.close()
