"""Gateways that die and clients that change over: nobody loses an event, and nobody is told so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from percolator.jetstream.connect import NatsAddress, connect
from percolator.jetstream.stream import ensure
from tests.cli.program import Program, Running, Serving
from tests.gateway import Gateway, running
from tests.integration.faults.at_once import at_once, scenes
from tests.integration.faults.judge import TOTAL, Truth, Verdict, judge
from tests.integration.faults.proxy import Proxy, proxy
from tests.integration.faults.scenario import CHANNELS, PATIENCE, STREAM
from tests.integration.faults.traffic import Traffic, flowing
from tests.integration.faults.witness import Witness, witnesses
from tests.nats_server import NatsServer

__all__ = ["scenes"]

UNLIMITED = {"max_connections_per_ip": 0, "attempts_per_second": 0, "messages_per_second": 0}


@dataclass
class Stage:
    """Events that flow, and witnesses behind a proxy that leads to one gateway or another."""

    nats_url: str
    client: Client
    line: Proxy
    traffic: Traffic
    witnesses: Sequence[Witness]

    async def everybody_heard(self, count: int = 20) -> None:
        """Wait until so many events more were acknowledged and every witness has the last."""
        async with asyncio.timeout(PATIENCE):
            await self.traffic.flowed(count)
            last = {event.channel: event.seq for event in self.traffic.published[-40:]}
            for witness in self.witnesses:
                for channel in CHANNELS[:3]:
                    await witness.reaches(channel, last[channel])

    async def verdict(self) -> Verdict:
        """Stop the traffic, wait until every witness has heard the last word, and judge."""
        async with asyncio.timeout(PATIENCE):
            last = await self.traffic.stop(CHANNELS)
            for witness in self.witnesses:
                for channel, event in last.items():
                    await witness.has(channel, event.number)
        truth = await Truth.of(self.client, STREAM, CHANNELS, self.traffic.published)
        verdict = judge(truth, self.witnesses)
        TOTAL.add(verdict)
        return verdict


@contextlib.asynccontextmanager
async def stage(folder: Path, rate: float) -> AsyncIterator[Stage]:
    """Set one up; the proxy leads nowhere yet."""
    with contextlib.ExitStack() as servers:
        server = await asyncio.to_thread(servers.enter_context, NatsServer(folder / "nats"))
        client = await connect(NatsAddress(server.url), name="stage", reconnect=True)
        await ensure(client, STREAM)
        async with (
            proxy(1) as line,
            witnesses(f"ws://127.0.0.1:{line.port}/ws", CHANNELS) as found,
            flowing(server.url, STREAM, CHANNELS, rate) as traffic,
        ):
            yield Stage(server.url, client, line, traffic, found)
        await client.close()


@at_once
async def test_a_gateway_is_killed_and_started_again_under_load(tmp_path: Path) -> None:
    """With kill -9, as a process, three times; its clients resume with the next."""
    async with stage(tmp_path, rate=150) as play:
        program = Program(tmp_path, nats_url=play.nats_url, stream=STREAM, port=0, **UNLIMITED)
        for _ in range(3):
            with program.start("serve", "--backlog", "100") as process:
                await lead_to(play.line, process)
                await play.everybody_heard()
                process.process.kill()
        with program.start("serve", "--backlog", "100") as process:
            await lead_to(play.line, process)
            verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    assert min(witness.connections for witness in play.witnesses) >= 4


async def lead_to(line: Proxy, process: Running) -> None:
    """Lead clients to a gateway once it is ready."""
    serving = await asyncio.to_thread(Serving.when_ready, process)
    line.target = int(serving.ws.rpartition(":")[2])


@at_once
async def test_clients_resume_on_another_gateway_than_they_left(tmp_path: Path) -> None:
    """To and fro between two, of which one has almost nothing in memory, while events flow."""
    async with (
        stage(tmp_path, rate=150) as play,
        running(play.nats_url, STREAM) as one,
        running(play.nats_url, STREAM, log_capacity=50, backlog=5) as other,
    ):
        for turn in range(12):
            play.line.target = (one, other)[turn % 2].port
            play.line.cut()
            await play.everybody_heard()
        await away_for(play, other, events=300)
        verdict = await play.verdict()
        play.line.close()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    assert min(witness.connections for witness in play.witnesses) >= 12


async def away_for(play: Stage, gateway: Gateway, events: int) -> None:
    """Leave all clients without a gateway for a while; then lead them to this one."""
    play.line.close()
    await play.traffic.flowed(events)
    play.line.target = gateway.port
    play.line.open = True
    await play.everybody_heard()
    assert gateway.service.replayer.total > 0
