"""Prices do not go back: over a running gateway, and on one that has just started."""

import time

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
