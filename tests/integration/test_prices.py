"""Prices do not go back: over a running gateway, and on one that has just started."""

import json
import time

import pytest

from tests.client import PATIENCE
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway


async def publish(gateway: Gateway, price: float, *, lag: int, slab: str = "SOL") -> int:
    """Publish a price whose timestamp is some milliseconds old; return its seq."""
    timestamp = time.time_ns() // 1_000_000 - lag
    return await gateway.publish("price", slab, price=price, timestamp=timestamp)


async def test_two_publishers_of_one_market_show_its_newest_price(
    start_gateway: StartGateway,
) -> None:
    """No client gets the prices of the one that is behind."""
    gateway = await start_gateway(price_interval=0)
    client = await gateway.client("price:SOL", "price:*")
    sent = []
    for step in range(3):
        sent.append(await publish(gateway, 100 + step, lag=0))
        assert (await client.receive())["seq"] == sent[-1]
        await publish(gateway, 90 + step, lag=10_000)
    last = await publish(gateway, 200, lag=-1_000)
    assert (await client.receive())["seq"] == last
    stats = await gateway.stats()
    assert (stats["eventsOutdated"], stats["eventsRejected"]) == (3, 0)
    _, _, body = await gateway.get("/metrics")
    assert b"\npercolator_events_outdated_total 3.0\n" in body


async def test_a_gateway_that_starts_shows_the_same_prices(start_gateway: StartGateway) -> None:
    """Wherever it begins to read: the newest price of the stream need not be the market's."""
    gateway = await start_gateway()
    shown = {}
    for slab, lags in {"A": (0, 5_000), "B": (9_000, 3_000, 6_000), "C": (50, 40)}.items():
        seqs = [await publish(gateway, 100 - lag / 1_000, lag=lag, slab=slab) for lag in lags]
        shown[slab] = seqs[lags.index(min(lags))]
    end = await gateway.publish("trade", "D")
    await gateway.has_read(end)
    for backlog in range(end + 1):
        late = await start_gateway(backlog=backlog)
        markets = (await late.get_json("/markets"))["markets"]
        assert {slab: markets[slab]["price"]["seq"] for slab in shown} == shown, backlog
        assert markets == (await gateway.get_json("/markets"))["markets"]
    client = await late.client("price:B")
    assert (await client.receive())["seq"] == shown["B"]
    seq = await publish(late, 1, lag=2_999, slab="B")
    assert (await client.receive())["seq"] == seq


@pytest.mark.parametrize("rejects", [False, True])
async def test_a_price_in_millionths_is_reported_by_name(
    start_gateway: StartGateway, *, rejects: bool
) -> None:
    """Clients get it, unless the gateway rejects such prices."""
    gateway = await start_gateway(max_price_jump=100, reject_price_jump=rejects)
    reports = await gateway.nats.subscribe("percolator.rejected")
    seqs = [await publish(gateway, price, lag=0) for price in (150, 150e6)]
    report = json.loads((await reports.next_msg(timeout=PATIENCE)).data)
    assert (report["seq"], report["reason"]) == (seqs[1], "price_jump")
    assert report.get("accepted", False) is not rejects
    await gateway.has_read(seqs[1])
    assert (await gateway.get_json("/markets/SOL"))["price"]["seq"] == seqs[not rejects]
    stats = await gateway.stats()
    assert (stats["priceJumps"], stats["eventsRejected"]) == (1, int(rejects))


async def test_a_gateway_that_starts_refuses_the_same_jumps(start_gateway: StartGateway) -> None:
    """The first of two publishers that refuse each other stays, wherever it begins to read."""
    settings = {"max_price_jump": 100, "reject_price_jump": True}
    gateway = await start_gateway(**settings)
    seqs = [await publish(gateway, 150e6 if n % 2 else 150, lag=0) for n in range(12)]
    await gateway.has_read(seqs[-1])
    for backlog in range(len(seqs) + 1):
        late = await start_gateway(backlog=backlog, **settings)
        shown = await late.get_json("/markets/SOL")
        assert shown == await gateway.get_json("/markets/SOL")
        assert shown["price"]["seq"] == seqs[-2]
