"""A flood of attempts, garbage and bad channels: refused and counted, harmless to others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from percolator.config.settings import Settings
from tests.benchmarks.flood import messages
from tests.benchmarks.flood.attack import Target
from tests.benchmarks.flood.swarm import STEP_SECONDS, Swarm
from tests.gateway import eventually
from tests.integration.conftest import StartGateway

DEFAULTS = Settings()
HONEST = 20


@asynccontextmanager
async def flooding(*swarms: Swarm) -> AsyncIterator[None]:
    """Attack until the end of the block, in this process: so no attacker waits for a core."""

    async def attack(swarm: Swarm) -> None:
        while True:
            swarm.step(0)
            await asyncio.sleep(STEP_SECONDS)

    tasks = [asyncio.create_task(attack(swarm)) for swarm in swarms]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for swarm in swarms:
            swarm.close()


async def test_a_flood_costs_well_behaved_clients_no_event(
    start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """With default limits: every trade arrives during the flood, once and in order."""
    gateway = await start_gateway(
        attempts_per_second=DEFAULTS.attempts_per_second,
        messages_per_second=DEFAULTS.messages_per_second,
        max_connections_per_ip=DEFAULTS.max_connections_per_ip,
    )
    stats = gateway.service.stats
    honest = []
    for number in range(HONEST):
        client = await gateway.handshake(local=f"127.0.2.{number // 4 + 1}")
        await client.subscribed("trades:SOL")
        honest.append(client)
    seqs: list[int] = []
    target = Target(gateway.port)
    makers = (messages.attempts, messages.garbage, messages.bad_channels)
    async with flooding(*(make(target) for make in makers)):
        while stats.refused["attempts"] < 200 or stats.closed.total() < 200 or len(seqs) < 100:
            seqs.append(await gateway.publish("trade", "SOL"))
    for client in honest:
        got = await client.receive_many(len(seqs))
        assert [each["seq"] for each in got] == seqs
        assert [each["prev"] for each in got] == [0, *seqs[:-1]]
        assert client.close_received is None
    await eventually(lambda: gateway.service.admission.places.total == HONEST)
    assert set(stats.closed) <= {1002, 1006, 1007, 1008, 1009}
    refusals = [line for line in caplog.messages if line.startswith("refused: ")]
    assert len(refusals) <= 6
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
