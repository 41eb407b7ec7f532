"""History with the users of nats/nats-server.conf: a gateway may read events and candles."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from tests.integration.deployed import deployed, logged_in, serving, set_passwords
from tests.integration.reading_history import ask, candle, write
from tests.nats_server import NatsServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A nats-server with our configuration."""
    set_passwords(monkeypatch)
    with serving(tmp_path / "nats") as started:
        yield started


async def test_a_gateway_reads_history_with_its_own_user(server: NatsServer) -> None:
    """Backward and forward, by time, and the candles that others have written."""
    async with deployed(server, "gateway") as gateway, logged_in(server, "operator") as operator:
        seqs = [await gateway.publish("trade", "SOL") for _ in range(3)]
        await gateway.has_read(seqs[-1])
        for query in ({}, {"after": 0}, {"from_": 0}, {"before": 9}):
            answer = await ask(gateway, "SOL/trades", **query)
            assert [row["seq"] for row in answer["events"]] == seqs
        await operator.client.jetstream().add_stream(
            StreamConfig(
                name="PERCOLATOR_CANDLES", subjects=["percolator.candle.>"], allow_direct=True
            )
        )
        await write(operator.client, [candle(number) for number in range(10, 20)])
        for query in ({}, {"from_": 0}, {"to": 10**12}):
            rows = (await ask(gateway, "SOL/candles", **query))["candles"]
            assert [row["start"] // 60_000 for row in rows] == [*range(10, 20)]
