"""What follows a subscribe: snapshot or replay, then live events, none lost and none duplicated."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from websockets.asyncio.client import connect

from percolator.model.kinds import KIND_OF_NAME
from tests.channels import KIND_NAMES, channel_of
from tests.client import PATIENCE, Client, Message
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway


async def trades(gateway: Gateway, count: int, slab: str = "SOL") -> list[int]:
    """Publish trades and wait until the gateway has read them; return their seqs."""
    seqs = [await gateway.publish("trade", slab, size=str(number)) for number in range(count)]
    await gateway.has_read(seqs[-1])
    return seqs


async def test_the_last_price_and_rate_come_as_snapshots(gateway: Gateway) -> None:
    """Only the newest value, marked as a snapshot; a trade channel has none."""
    for price in (1.5, 1.6):
        last_price = await gateway.publish("price", "SOL", price=price, markPrice=2, indexPrice=3)
    await gateway.publish("funding", "SOL", rate="0.1")
    last_rate = await gateway.publish("funding", "SOL", rate="-0.0002", timestamp=1_234_567_890_124)
    await trades(gateway, 1)
    client = await gateway.client("trades:SOL", "price:SOL", "funding:SOL")
    messages = (await client.receive_until_pong())[:-1]
    while len(messages) < 2:
        messages.append(await client.receive())
    assert messages == [
        {
            "type": "price",
            "slab": "SOL",
            "price": 1.6,
            "markPrice": 2.0,
            "indexPrice": 3.0,
            "timestamp": 1_234_567_890_123,
            "seq": last_price,
            "snapshot": True,
        },
        {
            "type": "funding",
            "slab": "SOL",
            "rate": "-0.0002",
            "timestamp": 1_234_567_890_124,
            "seq": last_rate,
            "prev": last_rate - 1,
            "snapshot": True,
        },
    ]


async def test_errors_come_before_the_reply_and_snapshots_after_it(gateway: Gateway) -> None:
    """The order is errors, reply, snapshot, live events."""
    first = await gateway.publish("price", "SOL")
    await gateway.has_read(first)
    client = await gateway.client()
    client.subscribe("junk", "price:SOL")
    error, reply, snapshot = await client.receive_many(3)
    assert [error["type"], reply["type"], snapshot["type"]] == ["error", "subscribed", "price"]
    assert snapshot["snapshot"] is True
    second = await gateway.publish("price", "SOL", price=2)
    live = await client.receive()
    assert live["seq"] == second
    assert "snapshot" not in live


async def test_a_market_without_events_has_no_snapshot(gateway: Gateway) -> None:
    """Its first event arrives live, and its first trade follows no other trade."""
    client = await gateway.client(*(channel_of(kind, "SOL").name for kind in KIND_NAMES))
    for kind in KIND_NAMES:
        seq = await gateway.publish(kind, "SOL")
        message = await client.receive()
        assert (message["type"], message["seq"], "snapshot" in message) == (kind, seq, False)
        assert message.get("prev") == (0 if KIND_OF_NAME[kind].lossless else None)


@asynccontextmanager
async def storm(gateway: Gateway, kind: str) -> AsyncIterator[asyncio.Future[int]]:
    """Publish as fast as possible while the block runs; yield a future for the last seq."""
    last = asyncio.get_running_loop().create_future()
    calm = asyncio.Event()

    async def publish() -> None:
        while not calm.is_set():
            seqs = await asyncio.gather(*(gateway.publish(kind, "SOL") for _ in range(20)))
        last.set_result(max(seqs))

    publishing = asyncio.create_task(publish())
    yield last
    calm.set()
    await publishing


async def test_clients_that_subscribe_during_a_storm_get_every_event_once(
    start_gateway: StartGateway,
) -> None:
    """Each subscribes at a different moment and resumes from the same seq."""
    gateway = await start_gateway(log_capacity=100_000)
    start = (await trades(gateway, 5))[2]
    clients = []
    async with storm(gateway, "trade") as last:
        for _ in range(20):
            client = await gateway.client()
            await client.subscribed("trades:SOL", since=start)
            clients.append(client)
    end = await last
    for client in clients:
        messages = await client.receive_until(lambda message: message["seq"] == end)
        assert [message["seq"] for message in messages] == list(range(start + 1, end + 1))
        assert all(after["prev"] == before["seq"] for before, after in pairwise(messages))


async def test_a_client_that_subscribes_during_a_storm_continues_after_its_snapshot(
    gateway: Gateway,
) -> None:
    """The snapshot of a rate is one link of the chain, and the live rates are the next."""
    await gateway.publish("funding", "SOL")
    async with storm(gateway, "funding") as last:
        clients = [await gateway.client("funding:SOL") for _ in range(20)]
    end = await last
    for client in clients:
        messages = await client.receive_until(lambda message: message["seq"] == end)
        assert messages[0].get("snapshot") is True
        assert not any("snapshot" in message for message in messages[1:])
        assert all(after["prev"] == before["seq"] for before, after in pairwise(messages))


async def test_recent_returns_the_last_events_of_each_channel(gateway: Gateway) -> None:
    """That many of each channel, in stream order, as live messages; prices as usual."""
    seqs = await trades(gateway, 5)
    rates = [await gateway.publish("funding", "SOL") for _ in range(3)]
    price = await gateway.publish("price", "SOL")
    await gateway.has_read(price)
    client = await gateway.client()
    await client.subscribed("trades:SOL", "funding:SOL", "price:SOL", recent=2)
    messages = await client.receive_many(5)
    assert [message["seq"] for message in messages] == [*seqs[-2:], *rates[-2:], price]
    assert [m["type"] for m in messages if "snapshot" in m] == ["price"]


async def test_recent_returns_at_most_what_the_gateway_holds(start_gateway: StartGateway) -> None:
    """Requesting more is no error and makes no gap."""
    gateway = await start_gateway(log_capacity=3)
    seqs = await trades(gateway, 5)
    client = await gateway.client()
    await client.subscribed("trades:SOL", recent=1_000)
    messages = await client.receive_many(3)
    assert [(message["type"], message["seq"]) for message in messages] == [
        ("trade", seq) for seq in seqs[-3:]
    ]


async def test_since_returns_the_events_after_it(gateway: Gateway) -> None:
    """From memory, in order, and then live; a price channel sends its latest price."""
    seqs = await trades(gateway, 5)
    price = await gateway.publish("price", "SOL")
    await gateway.has_read(price)
    client = await gateway.client()
    epoch = gateway.service.hub.book.epoch
    await client.subscribed("trades:SOL", "price:SOL", since=seqs[1], epoch=epoch)
    assert [message["seq"] for message in await client.receive_many(4)] == [*seqs[2:], price]
    live = await gateway.publish("trade", "SOL")
    message = await client.receive()
    assert (message["seq"], message["prev"]) == (live, seqs[-1])


async def test_since_may_name_a_seq_per_channel(gateway: Gateway) -> None:
    """A channel that it does not name starts with live events."""
    sol, btc, eth = [await trades(gateway, 3, slab) for slab in ("SOL", "BTC", "ETH")]
    client = await gateway.client()
    since = {"trades:SOL": sol[0], "trades:BTC": btc[1]}
    await client.subscribed("trades:SOL", "trades:BTC", "trades:ETH", since=since)
    assert [message["seq"] for message in await client.receive_many(3)] == [sol[1], sol[2], btc[2]]
    live = await gateway.publish("trade", "ETH")
    message = await client.receive()
    assert (message["seq"], message["prev"]) == (live, eth[-1])


async def test_since_the_last_event_returns_nothing_until_the_next(gateway: Gateway) -> None:
    """A client that has everything gets nothing twice."""
    *_, last = await trades(gateway, 3)
    client = await gateway.client()
    await client.subscribed("trades:SOL", since=last, epoch=gateway.service.hub.book.epoch)
    live = await gateway.publish("trade", "SOL")
    message = await client.receive()
    assert (message["seq"], message["prev"]) == (live, last)


async def test_since_with_another_epoch_is_answered_with_a_gap(gateway: Gateway) -> None:
    """The client has read a deleted stream: it gets a gap, and then everything there is."""
    seqs = await trades(gateway, 3)
    client = await gateway.client()
    await client.subscribed("trades:SOL", since=900, epoch="0")
    gap, *messages = await client.receive_many(4)
    assert gap == {
        "type": "gap",
        "channel": "trades:SOL",
        "from": 900,
        "to": seqs[0],
        "epoch": gateway.service.hub.book.epoch,
    }
    assert [message["seq"] for message in messages] == seqs


async def test_a_channel_continues_after_it_was_unsubscribed_and_resumed(gateway: Gateway) -> None:
    """Unsubscribe, miss some events, resume from the last one seen: the chain is complete."""
    client = await gateway.client("trades:SOL")
    seen = await gateway.publish("trade", "SOL")
    await client.receive()
    client.send({"type": "unsubscribe", "channels": ["trades:SOL"]})
    await client.receive_until_type("unsubscribed")
    missed = await trades(gateway, 3)
    await client.subscribed("trades:SOL", since=seen)
    messages = await client.receive_many(3)
    assert [message["seq"] for message in messages] == missed
    assert messages[0]["prev"] == seen


async def test_two_clients_get_identical_bytes(gateway: Gateway) -> None:
    """Whatever else each of them follows."""
    one = await gateway.client("trades:SOL")
    other = await gateway.client("trades:BTC", "trades:SOL", "price:SOL")
    await gateway.publish("trade", "SOL")
    await gateway.publish("trade", "BTC")
    await gateway.publish("trade", "SOL")
    await asyncio.gather(one.receive_many(2), other.receive_many(3))
    assert one.texts[-2:] == [text for text in other.texts if b'"trade","slab":"SOL"' in text]


async def test_a_channel_that_is_added_later_starts_with_its_own_snapshot(gateway: Gateway) -> None:
    """It does not disturb the other channels."""
    client = await gateway.client("trades:SOL")
    first = await gateway.publish("trade", "SOL")
    price = await gateway.publish("price", "SOL")
    await gateway.has_read(price)
    before = await client.subscribed("price:SOL")
    snapshot = await client.receive()
    after = await gateway.publish("trade", "SOL")
    live = await client.receive()
    assert [message["seq"] for message in (before[0], snapshot, live)] == [first, price, after]
    assert live["prev"] == first


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_client_library_is_served_like_any_other_client(
    gateway: Gateway, compression: str | None
) -> None:
    """The websockets library, even if it offers compression, which is declined."""
    address = f"ws://127.0.0.1:{gateway.port}"
    async with connect(address, compression=compression, proxy=None) as client:
        assert json.loads(await client.recv())["type"] == "connected"
        await client.send('{"type":"subscribe","channels":["price:SOL"]}')
        assert json.loads(await client.recv())["type"] == "subscribed"
        seq = await gateway.publish("price", "SOL", price=99.5)
        live: Message = json.loads(await client.recv())
        assert (live["price"], live["seq"]) == (99.5, seq)
        pong = await client.ping(b"are you there")
        await asyncio.wait_for(pong, PATIENCE)
    assert client.close_code == 1000


async def test_a_ping_frame_is_answered_with_its_payload(gateway: Gateway) -> None:
    """At once, and even between other frames."""
    client: Client = await gateway.client()
    client.ping(b"one")
    client.ping(b"")
    await client.until(lambda: client.pongs == [b"one", b""])
