"""Retired markets on running gateways, also on one that has just started."""

from tests.gateway import Gateway
from tests.integration.conftest import StartGateway


async def publish_all(gateway: Gateway, slab: str) -> None:
    """Publish one event of each kind that a page of a market shows."""
    for kind in ("price", "funding", "trade"):
        seq = await gateway.publish(kind, slab)
    await gateway.has_read(seq)


async def test_a_retired_market_is_neither_listed_nor_counted_on_any_gateway(
    start_gateway: StartGateway,
) -> None:
    """Wherever a gateway begins to read; and it comes back."""
    gateway = await start_gateway()
    for slab in ("SOL", "OLD"):
        await publish_all(gateway, slab)
    seq = await gateway.publish("market", "OLD", status="retired", displayName="Old one")
    end = await gateway.publish("trade", "SOL")
    for backlog in (0, 1, 2, 5, 100):
        late = await start_gateway(backlog=backlog, max_connections_per_slab=1)
        for one in (gateway, late):
            await one.has_read(end)
            assert [*(await one.get_json("/markets"))["markets"]] == ["SOL"]
            shown = {"status": "retired", "displayName": "Old one", "baseDecimals": None}
            market = {**shown, "tickSize": None, "timestamp": 1_234_567_890_123, "seq": seq}
            assert await one.get_json("/markets/OLD") == {"slab": "OLD", "market": market}
        clients = [await late.client("price:OLD", "funding:OLD", "trades:OLD") for _ in range(2)]
        assert (await late.stats())["connectionsPerSlab"] == {}
        everything = await late.client("price:*", "funding:*", "market:*")
        assert {(await everything.receive())["slab"] for _ in range(2)} == {"SOL"}
        found = await (await late.client("market:OLD")).receive()
        assert (found["seq"], found["status"], found["snapshot"]) == (seq, "retired", True)
    seq = await late.publish("price", "OLD", price=7)
    for client in (*clients, everything):
        assert (await client.receive())["seq"] == seq
    await late.has_read(await late.publish("market", "OLD", status="active"))
    assert [*(await late.get_json("/markets"))["markets"]] == ["OLD", "SOL"]
    assert (await late.stats())["connectionsPerSlab"] == {"OLD": 3, "*": 1}
