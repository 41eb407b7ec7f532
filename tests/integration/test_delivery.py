"""Events from NATS to clients: all trades and the latest prices, whatever their form."""

import asyncio
import json
import math
from typing import Any

import pytest

from percolator.app import feed_watch
from tests.channels import channel_of, subject_of
from tests.gateway import Gateway, event_json
from tests.integration.conftest import StartGateway

PRICES = 10_000
PRICE_SECONDS = 5.0
PRICE_INTERVAL = 0.5


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed is never called stale: one loop publishes, serves and reads here, at full speed."""
    monkeypatch.setattr(feed_watch, "STALE_SECONDS", 60.0)


async def test_10_000_trades_at_full_speed_reach_50_clients_in_one_chain(gateway: Gateway) -> None:
    """As fast as NATS takes them: complete, in order, each linked to its predecessor."""
    count = 10_000
    clients = await gateway.clients(50, "trades:SOL")
    seqs = await asyncio.gather(
        *(gateway.publish("trade", "SOL", size=str(number)) for number in range(count))
    )
    assert seqs == sorted(seqs)
    first = await clients[0].receive_many(count)
    assert [message["size"] for message in first] == [str(number) for number in range(count)]
    assert [message["seq"] for message in first] == seqs
    assert [message["prev"] for message in first] == [0, *seqs[:-1]]
    everything = clients[0].texts[2:]
    for client in clients:
        await client.wait_for_count(2 + count)
        assert client.texts[2:] == everything


async def test_clients_that_keep_up_lose_nothing_even_if_the_logs_are_short(
    start_gateway: StartGateway,
) -> None:
    """Events that arrive faster than they go out wait in the stream; no gap is made."""
    gateway = await start_gateway(log_capacity=20)
    clients = await gateway.clients(20, "trades:SOL")
    seqs = await asyncio.gather(*(gateway.publish("trade", "SOL") for _ in range(5_000)))
    for client in clients:
        got = await client.receive_many(len(seqs))
        assert [message.get("seq") for message in got] == seqs


async def test_10_000_prices_in_5_s_are_at_most_11_messages(gateway: Gateway) -> None:
    """The last one is the last that was published."""
    client = await gateway.client("price:SOL")
    clock = asyncio.get_running_loop().time
    start = clock()

    async def publish() -> float:
        step = 20
        for number in range(1, PRICES, step):
            due = start + number / PRICES * PRICE_SECONDS * 0.98
            await asyncio.sleep(max(due - clock(), 0))
            prices = range(number, number + step)
            await asyncio.gather(*(gateway.publish("price", "SOL", price=p) for p in prices))
        return clock() - start

    publishing = asyncio.create_task(publish())
    shown = await client.receive_until(lambda message: message["price"] == PRICES)
    # 11 in 5 s; a machine that needs longer to publish that many has more windows.
    assert len(shown) <= 2 + math.floor(await publishing / PRICE_INTERVAL)


async def test_a_price_after_a_quiet_period_goes_out_at_once(start_gateway: StartGateway) -> None:
    """It waits for no window, however long the windows are."""
    gateway = await start_gateway(price_interval=3_600)
    client = await gateway.client("price:SOL", "price:BTC")
    for slab in ("SOL", "BTC"):
        seq = await gateway.publish("price", slab)
        assert (await client.receive())["seq"] == seq


async def test_prices_inside_a_window_overwrite_each_other(start_gateway: StartGateway) -> None:
    """A new subscriber gets what the others have; when the window ends, all get the last price."""
    gateway = await start_gateway(price_interval=2)
    client = await gateway.client("price:SOL")
    seqs = [await gateway.publish("price", "SOL", price=price) for price in (1, 2, 3)]
    await gateway.has_read(seqs[-1])
    subscriber = await gateway.client("price:SOL")
    assert [message["seq"] for message in await client.receive_many(2)] == [seqs[0], seqs[-1]]
    shown = await subscriber.receive_until(lambda message: message["seq"] == seqs[-1])
    assert shown[0]["snapshot"] is True


async def test_without_an_interval_every_price_goes_out(start_gateway: StartGateway) -> None:
    """A price_interval of 0 switches conflation off, except within one flush."""
    gateway = await start_gateway(price_interval=0)
    client = await gateway.client("price:SOL")
    for price in (1.0, 2.0, 3.0):
        await gateway.publish("price", "SOL", price=price)
        assert (await client.receive())["price"] == price


ENVELOPES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "price",
        "price.updated",
        {"priceE6": 1_500_000, "markPriceE6": "1510000", "indexPrice": 1.49},
        {"price": 1.5, "markPrice": 1.51, "indexPrice": 1.49},
    ),
    (
        "trade",
        "trade.executed",
        {"side": "short", "size": "340282366920938463463374607431768211455", "priceE6": "1"},
        {"side": "short", "size": "340282366920938463463374607431768211455", "price": 1e-06},
    ),
    ("funding", "funding.updated", {"rateE6": -125}, {"rate": "-0.000125"}),
]


@pytest.mark.parametrize(("kind", "name", "data", "fields"), ENVELOPES)
async def test_an_envelope_in_millionths_arrives_in_usd(
    gateway: Gateway, kind: str, name: str, data: dict[str, Any], fields: dict[str, Any]
) -> None:
    """Clients get one form, whatever form the indexers publish."""
    client = await gateway.client(channel_of(kind, "SOL").name)
    envelope = {"event": name, "slabAddress": "SOL", "data": data, "timestamp": 1_234_567_890_123}
    seq = await gateway.publish_raw(subject_of(kind, "SOL"), json.dumps(envelope).encode())
    expected = {"type": kind, "slab": "SOL", **fields, "timestamp": 1_234_567_890_123, "seq": seq}
    if kind != "price":
        expected["prev"] = 0
    assert await client.receive() == expected


NATIVE: list[tuple[str, dict[str, Any]]] = [
    ("price", {"price": 1.5, "markPrice": 1.51, "indexPrice": 1.49}),
    ("price", {"price": 1.5}),
    ("trade", {"side": "long", "size": "1000000", "price": 1.5}),
    ("funding", {"rate": "0.0001"}),
]


@pytest.mark.parametrize(("kind", "fields"), NATIVE)
@pytest.mark.parametrize("named", [True, False])
async def test_a_native_event_arrives_with_the_documented_fields_in_order(
    gateway: Gateway, kind: str, fields: dict[str, Any], *, named: bool
) -> None:
    """Whether or not it repeats its subject; no field is invented."""
    client = await gateway.client(channel_of(kind, "SOL").name)
    names = {"type": kind, "slab": "SOL"}
    given = {**(names if named else {}), **fields, "timestamp": 1_234_567_890_123}
    seq = await gateway.publish_raw(subject_of(kind, "SOL"), json.dumps(given).encode())
    message = await client.receive()
    expected = {**names, **fields, "timestamp": 1_234_567_890_123, "seq": seq}
    if kind != "price":
        expected["prev"] = 0
    assert list(message.items()) == list(expected.items())


async def test_a_slab_may_be_an_address_of_64_characters(gateway: Gateway) -> None:
    """Names that differ in case are different markets."""
    slabs = ["x" * 64, "Sol", "SOL", "_-9"]
    client = await gateway.client(*(f"trades:{slab}" for slab in slabs))
    for slab in slabs:
        await gateway.publish("trade", slab)
        assert (await client.receive())["slab"] == slab


async def test_a_duplicate_that_jetstream_drops_is_delivered_once(gateway: Gateway) -> None:
    """A publisher that sets Nats-Msg-Id may send an event twice."""
    client = await gateway.client("trades:SOL")
    subject, payload = subject_of("trade", "SOL"), event_json("trade")
    first = await gateway.publisher.publish(subject, payload, message_id="one")
    assert await gateway.publisher.publish(subject, payload, message_id="one") == first
    second = await gateway.publisher.publish(subject, payload, message_id="two")
    assert [message["seq"] for message in await client.receive_many(2)] == [first, second]


async def test_two_gateways_on_one_stream_send_the_same_messages(
    start_gateway: StartGateway,
) -> None:
    """Seq and prev come from the stream, not from the gateway."""
    gateways = [await start_gateway(), await start_gateway()]
    one, other = [await gateway.client("trades:SOL", "funding:SOL") for gateway in gateways]
    for _ in range(3):
        await gateways[0].publish("trade", "SOL")
        await gateways[1].publish("funding", "SOL")
    await asyncio.gather(one.receive_many(6), other.receive_many(6))
    assert one.texts == other.texts
