"""Clients are told when the gateway no longer hears from NATS, and when it does again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from percolator.jetstream.stream import definition
from tests.client import PATIENCE
from tests.gateway import Gateway, eventually, running
from tests.integration.test_metrics import scrape
from tests.nats_server import NatsServer

NOTICED_SECONDS = 3.0

FAULTS: dict[str, tuple[Callable[[NatsServer], None], Callable[[NatsServer], None]]] = {
    "killed": (NatsServer.kill, NatsServer.start),
    "frozen": (NatsServer.freeze, NatsServer.thaw),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_client_is_told_when_nats_stops_and_when_it_is_back(
    tmp_path: Path, fault: str
) -> None:
    """Within three seconds, with the time of the last sign of life; once each."""
    stop, start = FAULTS[fault]
    with NatsServer(tmp_path) as server:
        async with running(server.url, "PERCOLATOR") as gateway:
            seq = await gateway.publish("price", "SOL", price=1.5)
            await gateway.has_read(seq)
            clients = await gateway.clients(3, "trades:SOL") + [await gateway.client()]
            before = time.time_ns() // 1_000_000
            await asyncio.to_thread(stop, server)
            stopped = time.time_ns() // 1_000_000
            stale = [await client.receive() for client in clients]
            assert time.time_ns() // 1_000_000 - stopped < NOTICED_SECONDS * 1_000
            for message in stale:
                assert message.keys() == {"type", "state", "since"}
                assert (message["type"], message["state"]) == ("feed", "stale")
                assert before - 1_000 <= message["since"] <= stopped + 1
            await meanwhile(gateway, seq, stale[0]["since"])
            await asyncio.to_thread(start, server)
            missed = await gateway.publish("trade", "BTC")
            for client in clients:
                live = await client.receive()
                assert (live["type"], live["state"]) == ("feed", "live")
                assert seq <= live["seq"] <= missed
            greeting = await (await gateway.handshake()).receive()
            assert greeting["feed"] == {"state": "live"}
            assert (await scrape(gateway))["percolator_feed_stale"] == 0


async def meanwhile(gateway: Gateway, seq: int, since: int) -> None:
    """Check that a client that comes while the feed is stale is told, and is served."""
    late = await gateway.handshake()
    assert (await late.receive())["feed"] == {"state": "stale", "since": since}
    late.subscribe("price:SOL")
    _, snapshot = await late.receive_many(2)
    assert (snapshot["seq"], snapshot["snapshot"]) == (seq, True)
    late.abort()
    assert (await scrape(gateway))["percolator_feed_stale"] == 1
    status, _, _ = await gateway.get("/health")
    assert status == 503


async def test_a_client_that_is_behind_is_told_the_state_of_the_feed_once_it_has_drained(
    gateway: Gateway,
) -> None:
    """What it was told before is not repeated; nor is a state that has passed meanwhile."""
    service = gateway.service
    client = await gateway.client("trades:SOL", receive_buffer=4_096)
    client.stop_reading()
    while not service.hub.paused:
        await asyncio.gather(*(gateway.publish("trade", "SOL") for _ in range(200)))
    for since in (5, None, 6):
        service.feed_watch.stale_since = since
        await service.tell_feed()
    client.resume_reading()
    told = await client.receive_until_type("feed")
    assert told[-1] == {"type": "feed", "state": "stale", "since": 6}
    await eventually(lambda: not service.hub.paused)
    await service.tell_feed()
    assert [one for one in await client.receive_until_pong() if one["type"] == "feed"] == []


async def test_the_health_page_names_a_stream_that_its_operator_has_deleted(tmp_path: Path) -> None:
    """The gateway may not create it, and is well again once it is there."""
    with NatsServer(tmp_path) as server:
        async with connected(server.url) as client:
            await client.jetstream().add_stream(definition("PERCOLATOR"))
            async with running(server.url, "PERCOLATOR", create_stream=False) as gateway:
                await client.jetstream().delete_stream("PERCOLATOR")
                await answers(gateway, 503, b"the stream PERCOLATOR does not exist")
                await client.jetstream().add_stream(definition("PERCOLATOR"))
                await answers(gateway, 200, b'"status":"ok"')


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A connection of the operator."""
    client = await nats.connect(url)
    yield client
    await client.close()


async def answers(gateway: Gateway, status: int, text: bytes) -> None:
    """Wait until `/health` has this status, with this text."""
    async with asyncio.timeout(PATIENCE):
        while (found := await gateway.get("/health"))[0] != status or text not in found[2]:  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.05)
