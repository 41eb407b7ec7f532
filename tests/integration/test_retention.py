"""Retention: a gateway forgets what the stream has dropped."""

import pytest

from percolator.app import retention
from tests.gateway import eventually
from tests.integration.conftest import StartGateway


@pytest.fixture(autouse=True)
def _frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOOK_SECONDS", 0.02)


async def test_markets_without_events_in_the_stream_are_forgotten(
    start_gateway: StartGateway,
) -> None:
    """However many a publisher has made up; those with clients and those with events stay."""
    gateway = await start_gateway()
    client = await gateway.client("price:FOLLOWED")
    for slab in ("FOLLOWED", *(f"MADE-UP-{number}" for number in range(100))):
        await gateway.publish("price", slab)
        seq = await gateway.publish("trade", slab)
    await gateway.has_read(seq)
    assert len((await gateway.get_json("/markets"))["markets"]) == 101
    client_of_feed = gateway.service.feed.client
    assert client_of_feed is not None
    await client_of_feed.jetstream().purge_stream(gateway.service.settings.stream)
    seq = await gateway.publish("price", "NEW")
    await gateway.has_read(seq)
    logs = gateway.service.book.logs
    await eventually(lambda: {str(channel) for channel in logs} == {"price:FOLLOWED", "price:NEW"})
    assert set((await gateway.get_json("/markets"))["markets"]) == {"FOLLOWED", "NEW"}
    await client.subscribed("trades:MADE-UP-1", since=1, epoch=gateway.service.book.epoch)
    assert (await client.receive_until_type("gap"))[-1]["channel"] == "trades:MADE-UP-1"
