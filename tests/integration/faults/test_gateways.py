"""Gateways die and clients move to others: no client loses an event or gets a gap."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.stream import ensure
from tests.cli.program import Program, Running, Serving
from tests.gateway import Gateway, running
from tests.integration.faults.at_once import at_once, scenarios
from tests.integration.faults.judge import Truth, Verdict, judge
from tests.integration.faults.proxy import Proxy, proxy
from tests.integration.faults.scenario import CHANNELS, PATIENCE, STREAM
from tests.integration.faults.traffic import Traffic, flowing
from tests.integration.faults.witness import Witness
from tests.integration.faults.witnesses import witnesses
from tests.nats_server import NatsServer

__all__ = ["scenarios"]

UNLIMITED = {"max_connections_per_ip": 0, "attempts_per_second": 0, "messages_per_second": 0}


@dataclass
class GatewayScenario:
    """Traffic, and witnesses behind a proxy that leads to one gateway or another."""

    nats_url: str
    client: Client
    line: Proxy
    traffic: Traffic
    witnesses: Sequence[Witness]

    async def all_witnesses_caught_up(self, count: int = 20) -> None:
        """Wait until `count` more events were acknowledged and every witness has the last ones."""
        async with asyncio.timeout(PATIENCE):
            await self.traffic.flowed(count)
            last = {event.channel: event.seq for event in self.traffic.published[-40:]}
            for witness in self.witnesses:
                for channel in CHANNELS[:3]:
                    await witness.reaches(channel, last[channel])

    async def verdict(self) -> Verdict:
        """Stop the traffic, wait until every witness has the last events, and judge."""
        async with asyncio.timeout(PATIENCE):
            last = await self.traffic.stop(CHANNELS)
            for witness in self.witnesses:
                for channel, event in last.items():
                    await witness.has(channel, event.number)
        truth = await Truth.of(self.client, STREAM, CHANNELS, self.traffic.published)
        return judge(truth, self.witnesses)


@contextlib.asynccontextmanager
async def gateway_scenario(
    folder: Path, rate: float, *, wildcards: bool = True
) -> AsyncIterator[GatewayScenario]:
    """Run a scenario; the proxy leads to no gateway yet."""
    with contextlib.ExitStack() as servers:
        server = await asyncio.to_thread(servers.enter_context, NatsServer(folder / "nats"))
        client = await connect(NatsAddress(server.url), name="scenario", reconnect=True)
        await ensure(client, STREAM)
        async with (
            proxy(1) as line,
            witnesses(f"ws://127.0.0.1:{line.port}/ws", CHANNELS, wildcards=wildcards) as found,
            flowing(server.url, STREAM, CHANNELS, rate) as traffic,
        ):
            yield GatewayScenario(server.url, client, line, traffic, found)
        await client.close()


@at_once
async def test_clients_lose_no_event_when_the_gateway_is_killed_under_load(tmp_path: Path) -> None:
    """Three times with a kill -9 of the process; the clients resume on the next one."""
    async with gateway_scenario(tmp_path, rate=150) as scenario:
        program = Program(tmp_path, nats_url=scenario.nats_url, stream=STREAM, port=0, **UNLIMITED)
        for _ in range(3):
            with program.start("serve", "--backlog", "100") as process:
                await lead_to(scenario.line, process)
                await scenario.all_witnesses_caught_up()
                process.process.kill()
        with program.start("serve", "--backlog", "100") as process:
            await lead_to(scenario.line, process)
            verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    assert min(witness.connections for witness in scenario.witnesses) >= 4


async def lead_to(line: Proxy, process: Running) -> None:
    """Direct clients to a gateway once it is ready."""
    serving = await asyncio.to_thread(Serving.when_ready, process)
    line.target = int(serving.ws.rpartition(":")[2])


@at_once
async def test_clients_lose_no_event_when_they_resume_on_another_gateway(tmp_path: Path) -> None:
    """Back and forth between two under traffic; one of them has almost no history in memory."""
    async with (
        gateway_scenario(tmp_path, rate=150) as scenario,
        running(scenario.nats_url, STREAM) as first,
        running(scenario.nats_url, STREAM, log_capacity=50, backlog=5) as second,
    ):
        for turn in range(12):
            scenario.line.target = (first, second)[turn % 2].port
            scenario.line.cut()
            await scenario.all_witnesses_caught_up()
        await away_for(scenario, second, events=300)
        verdict = await scenario.verdict()
        scenario.line.close()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    assert min(witness.connections for witness in scenario.witnesses) >= 12


async def away_for(scenario: GatewayScenario, gateway: Gateway, events: int) -> None:
    """Leave all clients without a gateway for some events; then direct them to this one."""
    scenario.line.close()
    await scenario.traffic.flowed(events)
    scenario.line.target = gateway.port
    scenario.line.open = True
    await scenario.all_witnesses_caught_up()
    assert gateway.service.replayer.total > 0
