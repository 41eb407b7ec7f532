"""Slow clients: they cost a bounded amount of memory, delay nobody, and are never lied to."""

import asyncio
from collections.abc import Sequence

from percolator.fanout.latest_log import LatestLog
from percolator.gateway.connection import Connection
from tests.channels import channel_of
from tests.client import Client, Message
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

SMALL = 4_096
"""A receive buffer that holds back little, so that a client that does not read is soon seen."""


def peer_of(gateway: Gateway) -> Connection:
    """Give the gateway's side of the client that came last."""
    return list(gateway.service.gateway.connections)[-1]


def goes_past_the_buffer(gateway: Gateway) -> bool:
    """Whether the client that came last is sent events right by its socket."""
    return peer_of(gateway).try_send is not None


def shown_price(gateway: Gateway, slab: str = "SOL") -> int:
    """The seq of the newest price that clients may see."""
    log = gateway.service.hub.book.logs[channel_of("price", slab)]
    assert isinstance(log, LatestLog)
    assert log.shown is not None
    return log.shown.seq


async def flood(gateway: Gateway, count: int, slab: str = "SOL") -> list[int]:
    """Publish trades at full speed, and wait until the gateway has read them; give their seqs."""
    seqs = await asyncio.gather(*(gateway.publish("trade", slab) for _ in range(count)))
    await gateway.has_read(max(seqs))
    return seqs


async def overflow(gateway: Gateway, slab: str = "SOL") -> list[int]:
    """Publish trades until a client is behind."""
    seqs: list[int] = []
    while not gateway.service.hub.paused:
        seqs += await flood(gateway, 200, slab)
    return seqs


async def up_to_seq(client: Client, seq: int) -> list[Message]:
    """Give the messages up to a seq."""
    return await client.up_to(lambda message: message.get("seq") == seq)


def check_chain(messages: Sequence[Message], seqs: Sequence[int]) -> int:
    """Check that each event came once, in order, or lies in a gap that says so; give the gaps.

    What lies in a gap must not have come, and what came must link to what came before.
    """
    last, gaps, missing = 0, 0, set(seqs)
    for message in messages:
        if message["type"] == "gap":
            assert message["from"] == last
            lost = {seq for seq in missing if last < seq < message["to"]}
            assert lost, "a gap in which nothing is missing"
            missing -= lost
            last, gaps = max(lost), gaps + 1
        else:
            assert message["prev"] == last
            missing.remove(message["seq"])
            last = message["seq"]
    assert not missing
    return gaps


async def test_a_client_that_does_not_read_holds_no_more_than_the_limit(
    gateway: Gateway,
) -> None:
    """However much there is for it; and it is shown as behind."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    transport = peer_of(gateway).transport
    client.stop_reading()
    most = 0
    for _ in range(40):
        await flood(gateway, 100)
        most = max(most, transport.get_write_buffer_size())
    assert 0 < most <= gateway.service.settings.max_buffered_bytes
    assert (await gateway.stats())["clientsBehind"] == 1
    client.go_on_reading()
    await up_to_seq(client, gateway.service.hub.book.seq)
    await eventually(lambda: gateway.service.hub.paused == 0)
    assert (await gateway.stats())["clientsBehind"] == 0


async def test_others_on_the_same_channels_get_everything_meanwhile(gateway: Gateway) -> None:
    """A client that stands still holds up nobody of its group."""
    slow = await gateway.client("trades:SOL", receive_buffer=SMALL)
    others = await gateway.clients(5, "trades:SOL")
    slow.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 1_000)
    for client in others:
        assert check_chain(await up_to_seq(client, seqs[-1]), seqs) == 0
    assert len(slow.texts) < len(seqs)


async def test_it_catches_up_with_all_that_memory_holds(start_gateway: StartGateway) -> None:
    """In order, with no gap, and then it is one of the others again."""
    gateway = await start_gateway(log_capacity=100_000)
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 5_000)
    client.go_on_reading()
    messages = await up_to_seq(client, seqs[-1])
    live = await gateway.publish("trade", "SOL")
    messages.append(await client.receive())
    assert check_chain(messages, [*seqs, live]) == 0


async def test_what_memory_no_longer_holds_is_a_gap(gateway: Gateway) -> None:
    """One gap with its true range, then what is left, each linked to the one before."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 3_000)
    client.go_on_reading()
    messages = await up_to_seq(client, seqs[-1])
    live = await gateway.publish("trade", "SOL")
    messages.append(await client.receive())
    assert check_chain(messages, [*seqs, live]) == 1
    assert gateway.service.stats.gaps == 1


async def test_each_channel_has_its_own_gap(gateway: Gateway) -> None:
    """A busy market loses some, a quiet one beside it loses nothing."""
    client = await gateway.client("trades:SOL", "trades:BTC", receive_buffer=SMALL)
    client.stop_reading()
    sol = await overflow(gateway)
    btc = await flood(gateway, 40, "BTC")
    sol += await flood(gateway, 3_000)
    client.go_on_reading()
    messages = await up_to_seq(client, sol[-1])
    assert check_chain([m for m in messages if _is_of(m, "BTC")], btc) == 0
    assert check_chain([m for m in messages if _is_of(m, "SOL")], sol) == 1


def _is_of(message: Message, slab: str) -> bool:
    return slab in (message.get("slab"), message.get("channel", "").partition(":")[2])


async def test_a_client_that_stalls_again_and_again_stays_whole(gateway: Gateway) -> None:
    """Whether it loses some or not, the chain is whole or says where it is not."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    messages: list[Message] = []
    seqs: list[int] = []
    for more in (1, 500, 2_000, 1, 2_000):
        client.stop_reading()
        seqs += await overflow(gateway) + await flood(gateway, more)
        client.go_on_reading()
        messages += await up_to_seq(client, seqs[-1])
    assert check_chain(messages, seqs) >= 2


async def test_of_prices_it_gets_the_latest_alone(start_gateway: StartGateway) -> None:
    """What a slab's price was meanwhile is of no use to anybody."""
    gateway = await start_gateway(price_interval=0, log_capacity=100_000)
    client = await gateway.client("price:SOL", "trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    await flood(gateway, 2_000)  # more than the kernel might still take
    prices = [await gateway.publish("price", "SOL", price=price) for price in range(1, 300)]
    # A price that is shown after the last trade was read would come after it.
    await eventually(lambda: shown_price(gateway) == prices[-1])
    last = await gateway.publish("trade", "SOL")
    await gateway.has_read(last)
    client.go_on_reading()
    messages = await up_to_seq(client, last)
    assert [m["seq"] for m in messages if m["type"] == "price"] == [prices[-1]]


async def test_a_request_of_a_slow_client_is_still_answered(gateway: Gateway) -> None:
    """It may unsubscribe from what is too much for it, and is behind no more."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    client.send({"type": "unsubscribe", "channels": ["trades:SOL"]})
    client.subscribe("trades:BTC")
    await eventually(lambda: "BTC" in gateway.service.slab_limits.clients)
    client.go_on_reading()
    await client.up_to_type("subscribed")
    await eventually(lambda: gateway.service.hub.paused == 0)
    seq = await gateway.publish("trade", "BTC")
    message = await client.receive()
    assert (message["seq"], message["prev"]) == (seq, 0)


async def test_a_slow_client_that_goes_is_behind_no_more(gateway: Gateway) -> None:
    """Its counters go with it."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    client.reset()
    await eventually(lambda: gateway.service.hub.paused == 0)
    await eventually(lambda: not gateway.service.gateway.connections)


async def test_nothing_overtakes_what_waits_in_the_buffer(gateway: Gateway) -> None:
    """Events go past the buffer, right to the socket, only for as long as it is empty."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    assert goes_past_the_buffer(gateway)
    client.stop_reading()
    seqs = await overflow(gateway)
    assert not goes_past_the_buffer(gateway)
    client.go_on_reading()
    messages = await up_to_seq(client, seqs[-1])
    await eventually(lambda: gateway.service.hub.paused == 0)
    while not goes_past_the_buffer(gateway):  # until a write finds the buffer empty
        seqs.append(await gateway.publish("trade", "SOL"))
        messages += await up_to_seq(client, seqs[-1])
    seqs.append(await gateway.publish("trade", "SOL"))
    messages += await up_to_seq(client, seqs[-1])
    check_chain(messages, seqs)
