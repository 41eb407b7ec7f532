"""History while NATS is frozen, gone or back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.gateway import Gateway, eventually, running
from tests.integration.reading_history import ask, candle, candles_stream, write
from tests.nats_server import NatsServer


@pytest.fixture
async def gateway(nats_process: NatsServer) -> AsyncIterator[Gateway]:
    """A gateway on a server of the test's own, with trades and candles."""
    async with (
        running(nats_process.url, "PERCOLATOR") as started,
        candles_stream(started.nats, "PERCOLATOR_CANDLES"),
    ):
        await write(started.nats, [candle(number) for number in range(100)])
        for _ in range(10):
            seq = await started.publish("trade", "SOL")
        await started.has_read(seq)
        yield started


async def test_a_request_to_a_frozen_nats_is_503_in_time(
    gateway: Gateway, nats_process: NatsServer
) -> None:
    """With the reason; once NATS answers again, so does the gateway, with all events."""
    assert len((await ask(gateway, "SOL/trades"))["events"]) == 10
    nats_process.freeze()
    try:
        answers = await asyncio.gather(
            gateway.get("/markets/SOL/trades"), gateway.get("/markets/SOL/candles")
        )
    finally:
        nats_process.thaw()
    for status, headers, body in answers:
        assert (status, "retry-after" in headers) == (503, True)
        assert body.startswith((b"History cannot be read at the moment", b"This takes too long"))
    await eventually(lambda: gateway.service.feed.connected)
    async with asyncio.timeout(30):
        while (await gateway.get("/markets/SOL/trades"))[0] != 200:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.1)
    assert len((await ask(gateway, "SOL/trades"))["events"]) == 10
    assert len((await ask(gateway, "SOL/candles"))["candles"]) == 100


async def test_pages_go_on_after_nats_was_killed(
    gateway: Gateway, nats_process: NatsServer
) -> None:
    """The connection for history is opened again; the cursors are still right."""
    newest = await ask(gateway, "SOL/trades", limit=5)
    candles = await ask(gateway, "SOL/candles", limit=60)
    nats_process.kill()
    assert (await gateway.get("/markets/SOL/trades"))[0] == 503
    nats_process.start()
    await eventually(lambda: gateway.service.feed.client is not None)
    older = await ask(gateway, "SOL/trades", limit=5, **newest["next"])
    seqs = [row["seq"] for row in older["events"] + newest["events"]]
    assert seqs == [*range(seqs[0], seqs[0] + 10)]
    assert (newest["events"][0]["prev"], older["next"]) == (older["events"][-1]["seq"], None)
    rest = await ask(gateway, "SOL/candles", **candles["next"])
    starts = [row["start"] // 60_000 for row in rest["candles"] + candles["candles"]]
    assert starts == [*range(100)]
