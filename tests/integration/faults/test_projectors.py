"""Two projectors, of which the active one is frozen, thawed and killed; and a cluster of NATS."""

import asyncio
from pathlib import Path

import pytest

from percolator.jetstream import candles
from tests.gateway import eventually
from tests.integration.faults import figures
from tests.integration.faults.cluster import SIZE, cluster
from tests.integration.projecting import (
    CANDLES,
    EVENTS,
    Running,
    lateness,
    start,
    streams,
    trading,
)
from tests.nats_client import connected
from tests.nats_server import NatsServer

TAKEOVER = "a projector frozen or killed: from when a candle could be written to its being stored"
ROLES = {"writing", "standing"}


async def roles(one: Running, two: Running) -> tuple[Running, Running]:
    """Wait until one writes and the other stands by; return them in this order."""
    await eventually(lambda: {one.role, two.role} == ROLES)
    return (one, two) if one.role == "writing" else (two, one)


async def test_two_projectors_write_each_candle_once_and_take_over_from_each_other(
    nats_process: NatsServer, tmp_path: Path
) -> None:
    """Within 5 s."""
    url = nats_process.url
    async with streams(url) as both:
        with start(tmp_path, url) as one, start(tmp_path, url) as two:
            async with trading(both, "SOL", "BTC"):
                active, standby = await roles(one, two)
                for _ in range(3):
                    active.freeze()
                    await standby.becomes("writing")
                    active.thaw()
                    await active.becomes("standing")
                    active, standby = standby, active
                active.kill()
                await standby.becomes("writing")
                with start(tmp_path, url) as three:
                    await roles(standby, three)
            written = await both.check()
    worst = max(lateness(written))
    figures.SECONDS[TAKEOVER].append(worst)
    assert worst < 5


@pytest.mark.slow
@pytest.mark.timeout(240)  # elections
async def test_no_candle_is_lost_or_doubled_when_the_leaders_of_the_streams_die(
    tmp_path: Path,
) -> None:
    """One of three servers at a time is killed, or frozen for longer than an election takes."""
    with cluster(tmp_path) as servers:
        client = await connected(",".join(servers.urls), max_reconnect_attempts=-1, ping_interval=1)
        await servers.make_stream(client, EVENTS)
        config = candles.definition(CANDLES).evolve(num_replicas=SIZE)
        await client.jetstream().add_stream(config)
        async with streams(servers.url, ping_seconds=1) as both:
            with start(tmp_path, servers.url) as one, start(tmp_path, servers.url) as two:
                async with trading(both, "SOL", "BTC"):
                    await roles(one, two)
                    for name in (EVENTS, CANDLES):
                        server = servers.servers[await servers.leader(client, name)]
                        await asyncio.to_thread(server.kill)
                        await both.more_written(6)
                        await asyncio.to_thread(server.start)
                        await servers.whole(client, name)
                    server = servers.servers[await servers.leader(client, EVENTS)]
                    await asyncio.to_thread(server.freeze)
                    await both.more_written(6)
                    server.thaw()
                    await servers.whole(client, EVENTS)
                    await servers.whole(client, CANDLES)
                await both.check()
        await client.close()
