"""Slow clients use a bounded amount of memory, delay no other client, and never miss a gap."""

import asyncio
from collections.abc import Sequence

from percolator.app.replayer import MAX_FETCHES
from percolator.fanout.latest_log import LatestLog
from percolator.gateway.connection import Connection
from tests.channels import channel_of
from tests.client import Client, Message
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

SMALL = 4_096
"""A receive buffer so small that the gateway soon notices a client that does not read."""


def peer_of(gateway: Gateway) -> Connection:
    """Return the gateway's side of the newest client."""
    return list(gateway.service.gateway.connections)[-1]


def goes_past_the_buffer(gateway: Gateway) -> bool:
    """Whether the newest client's events are written directly to its socket."""
    return peer_of(gateway).try_send is not None


def shown_price(gateway: Gateway, slab: str = "SOL") -> int:
    """Return the seq of the newest price that clients may see."""
    log = gateway.service.hub.book.logs[channel_of("price", slab)]
    assert isinstance(log, LatestLog)
    assert log.shown is not None
    return log.shown.seq


async def flood(gateway: Gateway, count: int, slab: str = "SOL") -> list[int]:
    """Publish trades at full speed and wait until the gateway has read them; return their seqs."""
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
    """Return the messages up to a seq."""
    return await client.receive_until(lambda message: message.get("seq") == seq)


def check_chain(messages: Sequence[Message], seqs: Sequence[int]) -> int:
    """Check that each event came once and in order, or lies in a gap; return the gaps.

    An event that lies in a gap must not have come, and each that came must link to the one before.
    """
    last, gaps, missing = 0, 0, set(seqs)
    for message in messages:
        if message["type"] == "gap":
            assert message["from"] == last
            lost = {seq for seq in missing if last < seq < message["to"]}
            assert lost, "a gap that covers no event"
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
    """However much is published; the stats show it as behind."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    transport = peer_of(gateway).transport
    client.stop_reading()
    largest = 0
    for _ in range(40):
        await flood(gateway, 100)
        largest = max(largest, transport.get_write_buffer_size())
    assert 0 < largest <= gateway.service.settings.max_buffered_bytes
    assert (await gateway.stats())["clientsBehind"] == 1
    client.resume_reading()
    await up_to_seq(client, gateway.service.hub.book.seq)
    await eventually(lambda: gateway.service.hub.paused == 0)
    assert (await gateway.stats())["clientsBehind"] == 0


async def test_a_slow_client_delays_no_other_client_on_its_channels(gateway: Gateway) -> None:
    """A stalled client delays no other client of its group."""
    slow = await gateway.client("trades:SOL", receive_buffer=SMALL)
    others = await gateway.clients(5, "trades:SOL")
    slow.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 1_000)
    for client in others:
        assert check_chain(await up_to_seq(client, seqs[-1]), seqs) == 0
    assert len(slow.texts) < len(seqs)


async def test_a_slow_client_catches_up_with_everything_in_memory(
    start_gateway: StartGateway,
) -> None:
    """In order and without a gap; then it is back in its group."""
    gateway = await start_gateway(log_capacity=100_000)
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 5_000)
    client.resume_reading()
    messages = await up_to_seq(client, seqs[-1])
    live = await gateway.publish("trade", "SOL")
    messages.append(await client.receive())
    assert check_chain(messages, [*seqs, live]) == 0


async def test_a_slow_client_gets_a_gap_for_what_memory_no_longer_holds(gateway: Gateway) -> None:
    """One gap with its exact range, then what is left, each linked to the one before."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    seqs = await overflow(gateway) + await flood(gateway, 3_000)
    client.resume_reading()
    messages = await up_to_seq(client, seqs[-1])
    live = await gateway.publish("trade", "SOL")
    messages.append(await client.receive())
    assert check_chain(messages, [*seqs, live]) == 1
    assert gateway.service.stats.gaps == 1


async def test_clients_that_resume_and_do_not_read_cost_no_other_resume_an_event(
    start_gateway: StartGateway,
) -> None:
    """More of them than there are pages fetched at once."""
    gateway = await start_gateway(log_capacity=10, max_connections_per_ip=0)
    seqs = await flood(gateway, 3_000)
    epoch = gateway.service.hub.book.epoch
    slow = [await gateway.client(receive_buffer=SMALL) for _ in range(MAX_FETCHES + 2)]
    for client in slow:
        client.stop_reading()
        client.subscribe("trades:SOL", since=0, epoch=epoch)
    await eventually(lambda: gateway.service.hub.paused == len(slow))
    honest = await gateway.client()
    honest.subscribe("trades:SOL", since=0, epoch=epoch)
    _, *messages = await up_to_seq(honest, seqs[-1])
    assert check_chain(messages, seqs) == 0
    slow[0].resume_reading()
    _, *messages = await up_to_seq(slow[0], seqs[-1])
    assert check_chain(messages, seqs) == 0


async def test_each_channel_has_its_own_gap(gateway: Gateway) -> None:
    """A busy market loses some events, a quiet one next to it loses none."""
    client = await gateway.client("trades:SOL", "trades:BTC", receive_buffer=SMALL)
    client.stop_reading()
    sol = await overflow(gateway)
    btc = await flood(gateway, 40, "BTC")
    sol += await flood(gateway, 3_000)
    client.resume_reading()
    messages = await up_to_seq(client, sol[-1])
    assert check_chain([m for m in messages if _is_of(m, "BTC")], btc) == 0
    assert check_chain([m for m in messages if _is_of(m, "SOL")], sol) == 1


def _is_of(message: Message, slab: str) -> bool:
    return slab in (message.get("slab"), message.get("channel", "").partition(":")[2])


async def test_a_client_that_stalls_repeatedly_keeps_a_complete_chain(gateway: Gateway) -> None:
    """Events that it loses lie in gaps."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    messages: list[Message] = []
    seqs: list[int] = []
    for more in (1, 500, 2_000, 1, 2_000):
        client.stop_reading()
        seqs += await overflow(gateway) + await flood(gateway, more)
        client.resume_reading()
        messages += await up_to_seq(client, seqs[-1])
    assert check_chain(messages, seqs) >= 2


async def test_a_slow_client_gets_only_the_latest_price(start_gateway: StartGateway) -> None:
    """Prices that were overtaken in the meantime are of no use."""
    gateway = await start_gateway(price_interval=0, log_capacity=100_000)
    client = await gateway.client("price:SOL", "trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    await flood(gateway, 2_000)  # more than the kernel might still buffer
    prices = [await gateway.publish("price", "SOL", price=price) for price in range(1, 300)]
    # A price that is shown after the last trade was read would arrive after it.
    await eventually(lambda: shown_price(gateway) == prices[-1])
    last = await gateway.publish("trade", "SOL")
    await gateway.has_read(last)
    client.resume_reading()
    messages = await up_to_seq(client, last)
    assert [m["seq"] for m in messages if m["type"] == "price"] == [prices[-1]]


async def test_a_request_of_a_slow_client_is_still_answered(gateway: Gateway) -> None:
    """It may unsubscribe from a channel that is too much for it, and is no longer behind."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    client.send({"type": "unsubscribe", "channels": ["trades:SOL"]})
    client.subscribe("trades:BTC")
    await eventually(lambda: "BTC" in gateway.service.slab_limits.clients)
    client.resume_reading()
    await client.receive_until_type("subscribed")
    await eventually(lambda: gateway.service.hub.paused == 0)
    seq = await gateway.publish("trade", "BTC")
    message = await client.receive()
    assert (message["seq"], message["prev"]) == (seq, 0)


async def test_a_slow_client_that_disconnects_is_no_longer_counted_as_behind(
    gateway: Gateway,
) -> None:
    """Its counters are removed with it."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    client.stop_reading()
    await overflow(gateway)
    client.reset()
    await eventually(lambda: gateway.service.hub.paused == 0)
    await eventually(lambda: not gateway.service.gateway.connections)


async def test_events_never_overtake_buffered_data(gateway: Gateway) -> None:
    """They are written directly to the socket only while the buffer is empty."""
    client = await gateway.client("trades:SOL", receive_buffer=SMALL)
    assert goes_past_the_buffer(gateway)
    client.stop_reading()
    seqs = await overflow(gateway)
    assert not goes_past_the_buffer(gateway)
    client.resume_reading()
    messages = await up_to_seq(client, seqs[-1])
    await eventually(lambda: gateway.service.hub.paused == 0)
    while not goes_past_the_buffer(gateway):  # until a write finds the buffer empty
        seqs.append(await gateway.publish("trade", "SOL"))
        messages += await up_to_seq(client, seqs[-1])
    seqs.append(await gateway.publish("trade", "SOL"))
    messages += await up_to_seq(client, seqs[-1])
    check_chain(messages, seqs)
