"""Consumers: a bound per user, and what happens if there is no place for another one."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from percolator.jetstream.creation import DESCRIPTION, names
from percolator.jetstream.feed import Feed
from percolator.jetstream.stream import definition
from tests.adapter.feeding import (
    STREAM,
    SUBJECT,
    RecordingSink,
    feed_of,
    publish_at_once,
    reading,
    running,
)
from tests.gateway import eventually
from tests.integration.deployed import login, serving, set_passwords, write_config
from tests.integration.faults.cluster import cluster
from tests.nats_server import NatsServer

UNREAD = ConsumerConfig(
    description=DESCRIPTION, deliver_subject="_INBOX.gone", inactive_threshold=3_600
)
"""A consumer whose gateway is gone."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A nats-server with nats/nats-server.conf."""
    set_passwords(monkeypatch)
    with serving(tmp_path / "nats") as started:
        yield started


@pytest.fixture
async def operator(server: NatsServer) -> AsyncIterator[Client]:
    """A connection to the stream's account."""
    client = await nats.connect(login(server, "operator"))
    await client.jetstream().add_stream(definition(STREAM))
    yield client
    await client.close()


async def consumers(client: Client) -> set[str | None]:
    """Return the names of the stream's consumers."""
    return {each.name for each in await client.jetstream().consumers_info(STREAM)}


def has_read(feed: Feed, seq: int) -> bool:
    """Return whether a feed has read the stream up to a seq."""
    return feed.seq >= seq


async def test_gateways_of_one_user_take_different_names(
    server: NatsServer, operator: Client
) -> None:
    """Each the first one that is free."""
    url = login(server, "gateway")
    async with reading(url, prefix="gateway"):
        assert await consumers(operator) == {"gateway-1"}
        async with reading(url, prefix="gateway"):
            assert await consumers(operator) == {"gateway-1", "gateway-2"}


async def test_a_gateway_takes_the_place_of_a_consumer_that_nothing_reads(
    server: NatsServer, operator: Client
) -> None:
    """If all names of its user are in use."""
    for name in names("gateway"):
        await operator.jetstream().add_consumer(STREAM, UNREAD.evolve(name=name))
    async with reading(login(server, "gateway"), prefix="gateway") as (sink, feed):
        await publish_at_once(operator, 10)
        await eventually(lambda: len(sink.seqs) == 10)
        assert not feed.trouble


async def test_a_gateway_without_a_free_name_says_so_and_takes_the_next_one(
    server: NatsServer, operator: Client
) -> None:
    """Nothing is taken from a gateway that reads; it reads by page until then."""
    await operator.subscribe("_INBOX.gone")
    for name in names("gateway"):
        await operator.jetstream().add_consumer(STREAM, UNREAD.evolve(name=name))
    feed = feed_of(login(server, "gateway"), RecordingSink(), prefix="gateway")
    async with running(feed):
        await eventually(lambda: "all 16 consumers of gateway are in use" in feed.trouble)
        await operator.jetstream().delete_consumer(STREAM, "gateway-7")
        await eventually(lambda: not feed.trouble)
    assert await consumers(operator) <= set(names("gateway"))


async def test_flow_control_works_across_accounts(server: NatsServer, operator: Client) -> None:
    """A burst larger than the server's window waits for a full sink, and arrives in order."""
    controlled = 0

    async def count(_message: object) -> None:
        nonlocal controlled
        controlled += 1

    await operator.subscribe(f"$JS.FC.{STREAM}.gateway-1.*", cb=count)
    async with reading(login(server, "gateway"), prefix="gateway") as (sink, feed):
        sink.full = True
        await publish_at_once(operator, 1)
        await eventually(lambda: sink.asked > 0)
        for _ in range(5_000):
            await operator.publish(SUBJECT, b"x" * 2_000)
        await publish_at_once(operator, 1)
        held = await operator.jetstream().consumer_info(STREAM, "gateway-1")
        assert held.num_pending  # the server waits for us
        sink.full = False
        await eventually(lambda: len(sink.seqs) == 5_002)
        assert sink.seqs == [*range(1, 5_003)]
        assert feed.restarts == 0
        await eventually(lambda: controlled > 0)


async def test_a_prefix_works_on_each_server_of_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the stream's leader and the consumer are."""
    set_passwords(monkeypatch)
    with cluster(tmp_path, "--config", str(write_config(tmp_path))) as three:
        servers = list(three.servers.values())
        client = await nats.connect(login(servers[0], "operator"))
        await three.make_stream(client, STREAM)
        for each in servers:
            async with reading(login(each, "gateway"), prefix="gateway") as (sink, feed):
                await publish_at_once(client, 100)
                last = (await client.jetstream().stream_info(STREAM)).state.last_seq
                await eventually(partial(has_read, feed, last))
                assert sink.seqs == [*range(1, last + 1)]
                assert feed.restarts == 0
        await client.close()


@pytest.fixture
async def limited(nats_process: NatsServer) -> AsyncIterator[Client]:
    """A plain nats-server whose stream takes two consumers."""
    client = await nats.connect(nats_process.url)
    await client.jetstream().add_stream(definition(STREAM).evolve(max_consumers=2))
    yield client
    await client.close()


async def test_without_a_prefix_stale_consumers_are_removed_when_the_limit_is_reached(
    nats_process: NatsServer, limited: Client
) -> None:
    """The next gateway becomes ready."""
    for name in ("one", "two"):
        await limited.jetstream().add_consumer(STREAM, UNREAD.evolve(name=name))
    async with reading(nats_process.url) as (sink, _):
        await publish_at_once(limited, 1)
        await eventually(lambda: sink.seqs == [1])
    assert not await consumers(limited) & {"one", "two"}


async def test_without_a_prefix_consumers_of_others_stay_and_the_limit_is_reported(
    nats_process: NatsServer, limited: Client
) -> None:
    """With what to do about it."""
    foreign = UNREAD.evolve(description="of another program")
    for name in ("one", "two"):
        await limited.jetstream().add_consumer(STREAM, foreign.evolve(name=name))
    feed = feed_of(nats_process.url, RecordingSink())
    async with running(feed):
        await eventually(lambda: "remove those that nothing reads" in feed.trouble)
    assert await consumers(limited) == {"one", "two"}
