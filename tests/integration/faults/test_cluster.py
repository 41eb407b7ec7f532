"""Three nats-servers and one stream on all of them: a leader dies, another dies, one freezes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from nats.aio.client import Client

from percolator.jetstream.connect import NatsAddress, connect
from tests.gateway import Gateway, starting
from tests.integration.faults.cluster import Cluster, cluster
from tests.integration.faults.judge import TOTAL, Truth, judge
from tests.integration.faults.scenario import PATIENCE, STREAM
from tests.integration.faults.traffic import Published, Traffic, flowing
from tests.integration.faults.witness import Event, Witness, witnesses

pytestmark = pytest.mark.timeout(240)  # elections, and a freeze of 12 seconds
RATE = 1_000
FROZEN_SECONDS = 12.0
LOSSLESS = ("trades:A", "trades:B", "funding:A")
SOON = 3.0
"""Seconds from the first acknowledgement of a new leader to the client: this is promised."""


@dataclass
class Play:
    """A gateway on a cluster, events that flow at RATE, and witnesses."""

    servers: Cluster
    client: Client
    gateway: Gateway
    traffic: Traffic
    witnesses: Sequence[Witness]

    async def steady(self) -> None:
        """Wait until events flow through again."""
        async with asyncio.timeout(PATIENCE):
            await self.traffic.flowed(RATE // 2)
            await self.gateway.has_read(self.traffic.published[-1].seq)

    @property
    def gateways_own(self) -> str:
        """The name of the server that the gateway reads from."""
        assert self.gateway.service.feed is not None
        assert self.gateway.service.feed.client is not None
        url = self.gateway.service.feed.client.connected_url
        assert url is not None
        return next(name for name, one in self.servers.servers.items() if one.port == url.port)

    async def whole(self) -> None:
        """Wait until all three have the stream again."""
        async with asyncio.timeout(PATIENCE):
            await self.servers.whole(self.client, STREAM)

    def silence(self, since: float) -> tuple[float, Published]:
        """Give the longest pause between acknowledgements since a time, and the one that ended it.

        That is the first one of a new leader.
        """
        acks = sorted(
            (one for one in self.traffic.published if one.at > since), key=lambda one: one.at
        )
        times = [since, *(one.at for one in acks)]
        pauses = [after - before for before, after in pairwise(times)]
        longest = max(range(len(pauses)), key=pauses.__getitem__)
        return pauses[longest], acks[longest]

    async def delay(self, first: Published) -> float:
        """Give the time from that acknowledgement until the last witness had the event."""
        async with asyncio.timeout(PATIENCE):
            for witness in self.witnesses:
                await witness.reaches(first.channel, first.seq)
        return max(
            next(
                item.at
                for item in witness.seen[first.channel]
                if isinstance(item, Event) and item.number == first.number
            )
            - first.at
            for witness in self.witnesses
        )


@contextlib.asynccontextmanager
async def playing(folder: Path, gateway_knows: int) -> AsyncIterator[Play]:
    """Set it up; the gateway is told of so many of the servers."""
    with contextlib.ExitStack() as stack:
        servers = await asyncio.to_thread(stack.enter_context, cluster(folder))
        client = await connect(NatsAddress(servers.url), name="play", reconnect=True)
        await servers.make_stream(client, STREAM)
        known = ",".join(servers.urls[:gateway_knows])
        async with starting(known, STREAM) as gateway:
            async with asyncio.timeout(PATIENCE):
                await gateway.service.ready()
            async with (
                witnesses(f"ws://127.0.0.1:{gateway.port}/ws", LOSSLESS, each=1) as found,
                flowing(servers.url, STREAM, LOSSLESS, RATE) as traffic,
            ):
                yield Play(servers, client, gateway, traffic, found)
        await client.close()


async def test_a_cluster_loses_its_servers_one_after_the_other(tmp_path: Path) -> None:
    """Under 1,000 events a second: publishing and delivery go on by themselves, all of it once.

    The gateway is told of one server only, and finds the others when that one dies.
    """
    figures = []
    async with playing(tmp_path, gateway_knows=1) as play:
        await play.steady()
        leader = await play.servers.leader(play.client, STREAM)
        figures.append(await without(play, leader))
        figures.append(await without(play, play.gateways_own))
        leader = await play.servers.leader(play.client, STREAM)
        figures.append(await without(play, leader, frozen=True))
        async with asyncio.timeout(PATIENCE):
            last = await play.traffic.stop(LOSSLESS)
            for witness in play.witnesses:
                for channel, event in last.items():
                    await witness.has(channel, event.number)
        truth = await Truth.of(play.client, STREAM, LOSSLESS, play.traffic.published)
        verdict = judge(truth, play.witnesses)
        TOTAL.add(verdict)
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    held = truth.held[-1]
    assert all(held[one.channel][one.seq] == one.number for one in play.traffic.published)
    numbers = [number for channel in held.values() for number in channel.values()]
    assert len(numbers) == len(set(numbers))
    assert all(delay < SOON for _, delay in figures), figures


async def without(play: Play, name: str, *, frozen: bool = False) -> tuple[float, float]:
    """Take a server away until events flow again, bring it back, and wait until it has caught up.

    Give how long no event was acknowledged, and how long the first one then took to the clients.
    """
    server = play.servers.servers[name]
    gone = asyncio.get_running_loop().time()
    if frozen:
        server.freeze()
    else:
        await asyncio.to_thread(server.kill)
    await play.steady()
    if frozen:
        await asyncio.sleep(max(gone + FROZEN_SECONDS - asyncio.get_running_loop().time(), 0))
        server.thaw()
    else:
        await asyncio.to_thread(server.start)
    await play.steady()
    await play.whole()
    pause, first = play.silence(gone)
    return pause, await play.delay(first)
