"""A fault scenario: a NATS, a gateway, traffic and witnesses, and a verdict at the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client
from nats.js.api import StreamConfig

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.stream import definition
from tests.gateway import Gateway, starting
from tests.integration.faults.judge import Truth, Verdict, judge
from tests.integration.faults.proxy import Proxy, proxy
from tests.integration.faults.traffic import Traffic, flowing
from tests.integration.faults.witness import Witness
from tests.integration.faults.witnesses import witnesses
from tests.nats_server import NatsServer

STREAM = "PERCOLATOR"
CHANNELS = ("trades:A", "trades:B", "funding:A", "price:A")
PATIENCE = 40.0
"""Seconds for the witnesses to receive everything; far more than they need."""


@dataclass
class FaultScenario:
    """A NATS, a gateway, traffic and witnesses."""

    server: NatsServer
    gateway: Gateway
    line: Proxy
    """Between the gateway and the server."""
    client: Client
    """The test's own connection; it reconnects."""
    config: StreamConfig
    traffic: Traffic
    witnesses: list[Witness]

    async def flow(self, count: int = 50) -> None:
        """Wait until `count` more events were acknowledged, and the gateway has read them."""
        async with asyncio.timeout(PATIENCE):
            await self.traffic.flowed(count)
            await self.gateway.has_read(self.traffic.published[-1].seq)

    async def verdict(self) -> Verdict:
        """Stop the traffic, wait until every witness has the last events, and judge."""
        async with asyncio.timeout(PATIENCE):
            last = await self.traffic.stop(self.witnesses[0].channels)
            for witness in self.witnesses:
                for channel, event in last.items():
                    await witness.has(channel, event.number)
        channels = self.witnesses[0].channels
        truth = await Truth.of(self.client, STREAM, channels, self.traffic.published)
        return judge(truth, self.witnesses)

    async def first_event(self, after: float) -> float:
        """Seconds from `after` until each witness had received an event."""
        async with asyncio.timeout(PATIENCE):
            events = await asyncio.gather(
                *(witness.received("trades:A", after) for witness in self.witnesses)
            )
        return max(event.at for event in events) - after


@contextlib.asynccontextmanager
async def _loaded(gateway: Gateway) -> AsyncIterator[None]:
    """Wait until the gateway has loaded its state."""
    async with asyncio.timeout(PATIENCE):
        await gateway.service.ready()
    yield


@contextlib.asynccontextmanager
async def _following(found: Sequence[Witness]) -> AsyncIterator[None]:
    """Wait until each witness follows its channels."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(witness.is_live() for witness in found))
    yield


@contextlib.asynccontextmanager
async def fault_scenario(
    folder: Path,
    *,
    rate: float = 60,
    config: StreamConfig | None = None,
    quiet: Sequence[str] = (),
    **settings: object,
) -> AsyncIterator[FaultScenario]:
    """Run a scenario with its own nats-server, which the gateway reaches through a proxy.

    Events flow on CHANNELS. The witnesses also follow `quiet`, which get one event at the start.
    """
    with contextlib.ExitStack() as servers:
        server = await asyncio.to_thread(servers.enter_context, NatsServer(folder / "nats"))
        client = await connect(NatsAddress(server.url), name="scenario", reconnect=True)
        try:
            config = config or definition(STREAM)
            await client.jetstream().add_stream(config)
            async with (
                proxy(server.port) as line,
                starting(line.url, STREAM, **settings) as gateway,
                _loaded(gateway),
                witnesses(f"ws://127.0.0.1:{gateway.port}/ws", (*CHANNELS, *quiet)) as found,
                _following(found),
                flowing(server.url, STREAM, CHANNELS, rate) as traffic,
            ):
                for channel in quiet:
                    await gateway.has_read((await traffic.publish(channel)).seq)
                yield FaultScenario(server, gateway, line, client, config, traffic, found)
        finally:
            with contextlib.suppress(Exception):  # it may be down
                await asyncio.wait_for(client.close(), 2)
