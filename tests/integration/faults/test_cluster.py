"""Three nats-servers replicate one stream: a leader dies, another server dies, one freezes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from nats.aio.client import Client

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.gateway import Gateway, starting
from tests.integration.faults import figures
from tests.integration.faults.cluster import Cluster, cluster
from tests.integration.faults.judge import Truth, judge
from tests.integration.faults.scenario import PATIENCE, STREAM
from tests.integration.faults.traffic import Published, Traffic, flowing
from tests.integration.faults.witness import Event, Witness
from tests.integration.faults.witnesses import witnesses

pytestmark = pytest.mark.timeout(240)  # elections, and a freeze of 12 seconds
RATE = 1_000
FROZEN_SECONDS = 12.0
LOSSLESS = ("trades:A", "trades:B", "funding:A")


@dataclass
class ClusterScenario:
    """A gateway on a cluster, traffic at RATE, and witnesses."""

    servers: Cluster
    client: Client
    gateway: Gateway
    traffic: Traffic
    witnesses: Sequence[Witness]

    async def steady(self) -> None:
        """Wait until events reach the gateway again."""
        async with asyncio.timeout(PATIENCE):
            await self.traffic.flowed(RATE // 2)
            await self.gateway.has_read(self.traffic.published[-1].seq)

    @property
    def gateways_server(self) -> str:
        """The name of the server that the gateway reads from."""
        assert self.gateway.service.feed is not None
        assert self.gateway.service.feed.client is not None
        url = self.gateway.service.feed.client.connected_url
        assert url is not None
        return next(
            name for name, server in self.servers.servers.items() if server.port == url.port
        )

    async def whole(self) -> None:
        """Wait until all three servers have the whole stream again."""
        async with asyncio.timeout(PATIENCE):
            await self.servers.whole(self.client, STREAM)

    def longest_pause(self, since: float) -> tuple[float, Published]:
        """Return the longest pause between acks since a time, and the ack that ended it.

        That ack is the first of a new leader.
        """
        acks = sorted(
            (event for event in self.traffic.published if event.at > since),
            key=lambda event: event.at,
        )
        times = [since, *(event.at for event in acks)]
        pauses = [after - before for before, after in pairwise(times)]
        longest = max(range(len(pauses)), key=pauses.__getitem__)
        return pauses[longest], acks[longest]

    async def delay(self, first: Published) -> float:
        """Seconds from that ack until each witness had the event."""
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
async def cluster_scenario(folder: Path, gateway_knows: int) -> AsyncIterator[ClusterScenario]:
    """Run a scenario; the gateway gets the addresses of `gateway_knows` servers."""
    with contextlib.ExitStack() as stack:
        servers = await asyncio.to_thread(stack.enter_context, cluster(folder))
        client = await connect(NatsAddress(servers.url), name="scenario", reconnect=True)
        await servers.make_stream(client, STREAM)
        known = ",".join(servers.urls[:gateway_knows])
        async with starting(known, STREAM) as gateway:
            async with asyncio.timeout(PATIENCE):
                await gateway.service.ready()
            async with (
                witnesses(
                    f"ws://127.0.0.1:{gateway.port}/ws", LOSSLESS, each=1, resting=False
                ) as found,
                flowing(servers.url, STREAM, LOSSLESS, RATE) as traffic,
            ):
                yield ClusterScenario(servers, client, gateway, traffic, found)
        await client.close()


async def test_clients_get_each_event_once_while_cluster_servers_fail_one_by_one(
    tmp_path: Path,
) -> None:
    """Under 1,000 events per second: publishing and delivery continue without help.

    The gateway knows the address of only one server, and finds the others when that one dies.
    """
    async with cluster_scenario(tmp_path, gateway_knows=1) as scenario:
        await scenario.steady()
        leader = await scenario.servers.leader(scenario.client, STREAM)
        await without(scenario, leader)
        await without(scenario, scenario.gateways_server)
        leader = await scenario.servers.leader(scenario.client, STREAM)
        await without(scenario, leader, frozen=True)
        async with asyncio.timeout(PATIENCE):
            last = await scenario.traffic.stop(LOSSLESS)
            for witness in scenario.witnesses:
                for channel, event in last.items():
                    await witness.has(channel, event.number)
        truth = await Truth.of(scenario.client, STREAM, LOSSLESS, scenario.traffic.published)
        verdict = judge(truth, scenario.witnesses)
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    held = truth.held[-1]
    assert all(
        held[event.channel][event.seq] == event.number for event in scenario.traffic.published
    )
    numbers = [number for channel in held.values() for number in channel.values()]
    assert len(numbers) == len(set(numbers))


async def without(scenario: ClusterScenario, name: str, *, frozen: bool = False) -> None:
    """Stop a server until events flow again, restart it, and wait until it has caught up.

    The first event that is acknowledged after the pause must reach every client.
    """
    server = scenario.servers.servers[name]
    stopped = asyncio.get_running_loop().time()
    if frozen:
        server.freeze()
    else:
        await asyncio.to_thread(server.kill)
    await scenario.steady()
    if frozen:
        await asyncio.sleep(max(stopped + FROZEN_SECONDS - asyncio.get_running_loop().time(), 0))
        server.thaw()
    else:
        await asyncio.to_thread(server.start)
    await scenario.steady()
    await scenario.whole()
    pause, first = scenario.longest_pause(stopped)
    figures.SECONDS["no event acknowledged after a server of three was stopped"].append(pause)
    delay = await scenario.delay(first)
    figures.SECONDS["the first event after that, to the last client"].append(delay)
