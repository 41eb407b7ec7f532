"""A gateway that has started an embedded NATS server writes candles too."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from percolator.app import nats_source
from percolator.app import service as module
from percolator.app.projector import Projector
from percolator.app.service import Service
from percolator.config.settings import Settings
from percolator.jetstream import candles
from percolator.jetstream.connect import connect
from percolator.jetstream.embedded import server as embedded
from percolator.jetstream.publisher import Publisher
from tests.gateway import event_json, eventually, running
from tests.integration.deployed import ROOT


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """A gateway with an embedded server on a free port; its minutes are seconds."""

    async def nothing_answers(_url: str) -> bool:
        return False

    own = SimpleNamespace(start=partial(embedded.start, port=0), answers=nothing_answers)
    monkeypatch.setattr(nats_source, "embedded", own)
    monkeypatch.setattr(module, "Projector", partial(Projector, interval_ms=1000))
    found = Service(Settings(port=0, data_dir=tmp_path / "data", drain_seconds=1))
    yield found
    await found.stop()
    assert not found.failed.done()


async def test_the_candles_are_written_and_counted(service: Service) -> None:
    addresses = await service.start()
    await service.ready()
    client = await connect(await service._nats_source.find(), name="test", reconnect=False)
    publisher = Publisher(client, "PERCOLATOR")
    now = time.time_ns() // 1_000_000
    await publisher.publish("percolator.trade.SOL", event_json("trade", size="7", timestamp=now))
    await eventually(lambda: service.projector.writer.written == 1)
    last = await candles.last_candle(client, "PERCOLATOR_CANDLES", "percolator.candle.SOL")
    assert last
    assert json.loads(last.payload)["volume"] == "7"
    url = f"http://127.0.0.1:{addresses.port}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    page = (ROOT / "docs" / "operations" / "metrics.md").read_text()
    found = re.findall(r"^# TYPE (percolator_(?:candles|projector)\w+) (\w+)$", text, re.MULTILINE)
    assert len(found) == 4
    assert all(f"| {kind} | `{name}` |" in page for name, kind in found)
    for line in ("candles_total 1.0", "candles_differing_total 0.0", "projector_lag_events 0.0"):
        assert f"\npercolator_{line}\n" in text
    assert "\npercolator_projector_standing_by 0.0\n" in text
    await client.close()


async def test_the_gateway_goes_on_if_candles_cannot_be_written(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It says why; operators of an embedded server may have used the name."""
    client = await connect(await service._nats_source.find(), name="test", reconnect=False)
    await client.jetstream().add_stream(name="PERCOLATOR_CANDLES", subjects=["other"])
    await service.start()
    await service.ready()
    await eventually(lambda: "no candles are written: the stream PERCOLATOR_CANDLES" in caplog.text)
    assert not service.projector.runs
    await client.close()


async def test_a_gateway_on_another_nats_writes_no_candles(nats_url: str, stream_name: str) -> None:
    """Projectors do that."""
    async with running(nats_url, stream_name) as gateway:
        _, _, text = await gateway.get("/metrics")
        assert b"percolator_candles" not in text
        assert not gateway.service.projector.runs
