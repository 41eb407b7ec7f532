"""A restarted gateway restores from the stream everything that its predecessor knew."""

import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.cli.program import Program, Serving
from tests.client import Client, Message, upgrade
from tests.gateway import Gateway, running
from tests.nats_server import NatsServer

Run = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def run(nats_url: str, stream_name: str) -> Run:
    """Runs a gateway on the test's stream for the length of a block."""

    def started(**settings: object) -> AbstractAsyncContextManager[Gateway]:
        return running(nats_url, stream_name, **settings)

    return started


async def a_market(gateway: Gateway, slab: str = "SOL") -> dict[str, int]:
    """Publish events of every kind; return the newest seqs."""
    for price in (1.0, 1.5):
        await gateway.publish("price", slab, price=1, markPrice=1, indexPrice=1)
        await gateway.publish("trade", slab, price=price)
        await gateway.publish("funding", slab, rate="0.5")
    return {
        "trade": await gateway.publish("trade", slab, price=7),
        "funding": await gateway.publish("funding", slab, rate="-0.0001"),
        "price": await gateway.publish("price", slab, price=2, markPrice=2.1, indexPrice=1.9),
    }


async def publish_others(gateway: Gateway, count: int) -> int:
    """Publish trades on another market; return the last seq."""
    for _ in range(count):
        last = await gateway.publish("trade", "NOISE")
    return last


async def snapshots(gateway: Gateway, slab: str = "SOL") -> dict[str, Message]:
    """Subscribe to all channels of a market; return its snapshots by type."""
    client = await gateway.client(f"price:{slab}", f"trades:{slab}", f"funding:{slab}")
    messages = await client.receive_many(2)
    assert all(message["snapshot"] for message in messages)
    return {message["type"]: message for message in messages}


def check(found: dict[str, Message], seqs: dict[str, int]) -> None:
    """Check the last price, mark, index and rate, and their seqs."""
    price, funding = found["price"], found["funding"]
    assert (price["price"], price["markPrice"], price["indexPrice"]) == (2.0, 2.1, 1.9)
    assert funding["rate"] == "-0.0001"
    assert (price["seq"], funding["seq"]) == (seqs["price"], seqs["funding"])


@pytest.mark.parametrize("backlog", [10_000, 9, 1, 0])
async def test_the_last_values_are_there_after_a_restart(run: Run, backlog: int) -> None:
    """Whether they are among the newest events, which are read, or far before them."""
    async with run() as gateway:
        seqs = await a_market(gateway)
        last = await publish_others(gateway, 50)
    async with run(backlog=backlog) as gateway:
        assert gateway.service.hub.book.seq == last
        check(await snapshots(gateway), seqs)
        market = await gateway.get_json("/markets/SOL")
        assert {kind: market[kind]["seq"] for kind in seqs} == seqs
        assert market["trade"]["price"] == 7


async def test_the_whole_state_is_the_same_before_and_after_a_restart(run: Run) -> None:
    """/markets is folded from the stream alone."""
    async with run() as gateway:
        for slab in ("SOL", "BTC", "x" * 64):
            await a_market(gateway, slab)
        await gateway.has_read(await publish_others(gateway, 3))
        before = await gateway.get_json("/markets")
    async with run(backlog=5) as gateway:
        assert await gateway.get_json("/markets") == before


async def test_more_markets_than_fit_into_one_request_are_all_there_after_a_restart(
    run: Run,
) -> None:
    """NATS returns the last values of some hundred subjects per request; a market needs three."""
    slabs = [f"S{number}" for number in range(1_100)]
    async with run() as gateway:
        for slab in slabs:
            last = await gateway.publish("price", slab)
        await gateway.has_read(last)
    async with run(backlog=0) as gateway:
        assert list((await gateway.get_json("/markets"))["markets"]) == sorted(slabs)


async def test_live_events_continue_the_chain_after_the_snapshot(run: Run) -> None:
    """The first live rate names the rate of the snapshot as its predecessor."""
    async with run() as gateway:
        seqs = await a_market(gateway)
        await publish_others(gateway, 20)
    async with run(backlog=10) as gateway:
        client = await gateway.client("funding:SOL")
        assert (await client.receive())["seq"] == seqs["funding"]
        seq = await gateway.publish("funding", "SOL")
        live = await client.receive()
        assert (live["seq"], live["prev"]) == (seq, seqs["funding"])


async def test_the_newest_events_can_be_requested_after_a_restart(run: Run) -> None:
    """The backlog fills the logs: `recent` and `since` work as before."""
    async with run() as gateway:
        seqs = [await gateway.publish("trade", "SOL") for _ in range(5)]
    async with run() as gateway:
        client = await gateway.client()
        await client.subscribed("trades:SOL", recent=2)
        assert [message["seq"] for message in await client.receive_many(2)] == seqs[-2:]
        other = await gateway.client()
        await other.subscribed("trades:SOL", since=seqs[0])
        messages = await other.receive_many(4)
        assert [(m["seq"], m["prev"]) for m in messages] == list(zip(seqs[1:], seqs, strict=False))


@pytest.mark.parametrize("backlog", [10_000, 0])
async def test_an_invalid_last_event_does_not_hide_the_valid_one_before_it(
    run: Run, backlog: int
) -> None:
    """The last price is the last valid one, before and after a restart."""
    async with run() as gateway:
        seqs = await a_market(gateway)
        for kind in ("price", "funding", "trade"):
            for _ in range(3):
                last = await gateway.publish_raw(f"percolator.{kind}.SOL", b"junk")
        await gateway.has_read(last)
        check(await snapshots(gateway), seqs)
    async with run(backlog=backlog) as gateway:
        check(await snapshots(gateway), seqs)
        assert (await gateway.get_json("/markets/SOL"))["trade"]["seq"] == seqs["trade"]


async def test_kill_9_of_the_gateway_loses_no_state(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """The process has no time to save anything; its successor has the full state."""
    program = Program(tmp_path, nats_url=nats_process.url)
    async with running(nats_process.url, "PERCOLATOR") as gateway:
        with program.start("serve", "--port", "0") as process:
            Serving.when_ready(process)
            seqs = await a_market(gateway)
            process.signal(signal.SIGKILL)
            assert process.end().code == 128 + signal.SIGKILL
    with program.gateway() as serving:
        client = await Client.dial("127.0.0.1", int(serving.ws.rpartition(":")[2]))
        client.write(upgrade())
        await client.opened()
        await client.subscribed("price:SOL", "funding:SOL")
        check({message["type"]: message for message in await client.receive_many(2)}, seqs)
        client.abort()


async def test_the_state_survives_a_restart_of_nats(nats_process: NatsServer) -> None:
    """The stream is on disk: the server ends, starts again, and a new gateway has the state."""
    async with running(nats_process.url, "PERCOLATOR") as gateway:
        seqs = await a_market(gateway)
        epoch = gateway.service.hub.book.epoch
    nats_process.kill()
    nats_process.start()
    async with running(nats_process.url, "PERCOLATOR") as gateway:
        check(await snapshots(gateway), seqs)
        assert gateway.service.hub.book.epoch == epoch
