"""Channels of all markets on a running gateway: live, resumed from the stream, and limited."""

import asyncio
from typing import Any

from tests.channels import KIND_NAMES, channel_of
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

SLABS = ("SOL", "BTC", "ETH")


async def trades(gateway: Gateway, count: int) -> list[int]:
    """Publish trades of three markets in turn; return their seqs."""
    return [await gateway.publish("trade", SLABS[number % 3]) for number in range(count)]


def check_chain(messages: list[dict[str, Any]], *, first: set[object]) -> None:
    """Check that each event of a market names the one before it; the first ones may say less."""
    last: dict[str, int] = {}
    for message in messages:
        slab = message["slab"]
        assert message["prev"] in ({last[slab]} if slab in last else first)
        last[slab] = message["seq"]


async def test_a_new_market_reaches_a_client_of_all_markets(gateway: Gateway) -> None:
    """It asked before the market was there."""
    client = await gateway.client(*(channel_of(kind, "*").name for kind in KIND_NAMES))
    sent = [await gateway.publish(kind, "NEW") for kind in KIND_NAMES]
    assert [one["seq"] for one in await client.receive_many(len(sent))] == sent


async def test_all_markets_are_resumed_from_the_stream(start_gateway: StartGateway) -> None:
    """From before what the gateway holds, on a gateway that has just started."""
    gateway = await start_gateway()
    epoch, seqs = gateway.service.hub.book.epoch, await trades(gateway, 300)
    await gateway.publish("price", "SOL")
    fresh = await start_gateway(backlog=10, log_capacity=20)
    client = await fresh.client()
    await client.subscribed("trades:*", since=seqs[29], epoch=epoch)
    got = await client.receive_many(270)
    live = await trades(gateway, 6)
    got += await client.receive_many(6)
    assert [one["seq"] for one in got] == seqs[30:] + live
    check_chain(got, first={None, seqs[29]})


async def test_all_of_a_whole_stream_is_chained_from_the_first_event(
    start_gateway: StartGateway,
) -> None:
    """Nothing came before it, so it says so."""
    gateway = await start_gateway()
    epoch, seqs = gateway.service.hub.book.epoch, await trades(gateway, 300)
    fresh = await start_gateway(backlog=10, log_capacity=20)
    client = await fresh.client()
    await client.subscribed("trades:*", since=0, epoch=epoch)
    got = await client.receive_many(300)
    assert [one["seq"] for one in got] == seqs
    check_chain(got, first={0})


async def test_a_replay_of_all_markets_has_each_event_of_a_market_by_name_once(
    start_gateway: StartGateway,
) -> None:
    """The market came first, and has its own replay."""
    gateway = await start_gateway()
    epoch, seqs = gateway.service.hub.book.epoch, await trades(gateway, 300)
    fresh = await start_gateway(backlog=10, log_capacity=20)
    client = await fresh.client()
    await client.subscribed("trades:SOL", "trades:*", since=0, epoch=epoch)
    got = await client.receive_many(300)
    assert sorted(one["seq"] for one in got) == seqs
    for slab in SLABS:
        own = [one["seq"] for one in got if one["slab"] == slab]
        assert own == sorted(own)


async def test_a_replay_of_all_markets_tells_of_what_the_stream_has_dropped(
    start_gateway: StartGateway,
) -> None:
    """In one gap, before the events that are still there."""
    gateway = await start_gateway()
    epoch, seqs = gateway.service.hub.book.epoch, await trades(gateway, 300)
    await gateway.nats.jetstream().purge_stream(gateway.service.settings.stream, seq=seqs[99])
    fresh = await start_gateway(backlog=10, log_capacity=20)
    client = await fresh.client()
    await client.subscribed("trades:*", since=seqs[9], epoch=epoch)
    gap, *got = await client.receive_many(202)
    assert gap == {"type": "gap", "channel": "trades:*", "from": seqs[9], "to": seqs[99]}
    assert [one["seq"] for one in got] == seqs[99:]


async def test_a_market_needs_history_when_its_client_leaves_all_markets(
    start_gateway: StartGateway,
) -> None:
    """Its own log is too short, so the stream is asked."""
    gateway = await start_gateway(log_capacity=20)
    client = await gateway.client("trades:*", "trades:SOL", receive_buffer=4_096)
    client.stop_reading()
    log = gateway.service.hub.book
    size = str(10**38)
    sent = []
    while not gateway.service.hub.paused:
        sent += await asyncio.gather(
            *(gateway.publish("trade", "SOL", size=size) for _ in range(50))
        )
    sent += [await gateway.publish("trade", "SOL") for _ in range(60)]
    await gateway.has_read(sent[-1])
    assert log.seq >= sent[-1]
    client.send({"type": "unsubscribe", "channels": ["trades:*"]})
    client.resume_reading()
    got = [one for one in await client.receive_many(len(sent) + 1) if one["type"] == "trade"]
    assert [one["seq"] for one in got] == sorted(sent)


async def test_followers_of_all_markets_have_a_limit_of_their_own(
    start_gateway: StartGateway,
) -> None:
    """It counts under `*`, and one more is refused like one too many on a market."""
    gateway = await start_gateway(max_wildcard_connections=1, max_connections_per_slab=1)
    await gateway.client("price:*", "trades:*")
    await gateway.client("price:SOL")
    assert (await gateway.stats())["connectionsPerSlab"] == {"*": 1, "SOL": 1}
    refused = await gateway.client("funding:BTC")
    refused.subscribe("trades:*")
    error = await refused.receive()
    assert (error["code"], error["channel"]) == ("slab_limit", "trades:*")
