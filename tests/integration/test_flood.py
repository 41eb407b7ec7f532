"""A flood of attempts and garbage: refused and counted, without harm to other clients."""

import contextlib
import sys

import pytest

from percolator.config.settings import Settings
from tests.benchmarks.processes import Process, cores
from tests.gateway import eventually
from tests.integration.conftest import StartGateway

DEFAULTS = Settings()
HONEST = 20


async def test_a_flood_costs_well_behaved_clients_no_event(
    start_gateway: StartGateway, nats_url: str, caplog: pytest.LogCaptureFixture
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
    with contextlib.ExitStack() as stack:
        for name in ("attempts", "garbage", "early-close"):
            command = [sys.executable, "-m", "tests.benchmarks.flood.attacker", name]
            stack.enter_context(Process([*command, str(gateway.port), nats_url], cores()[1]))
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
