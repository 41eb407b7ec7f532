"""A gateway that starts again knows from the stream what the one before it knew."""

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
    """Run a gateway for a block, on the stream of the test."""

    def started(**settings: object) -> AbstractAsyncContextManager[Gateway]:
        return running(nats_url, stream_name, **settings)

    return started


async def a_market(gateway: Gateway, slab: str = "SOL") -> dict[str, int]:
    """Publish some of everything; give the seqs of the newest."""
    for price in (1.0, 1.5):
        await gateway.publish("price", slab, price=1, markPrice=1, indexPrice=1)
        await gateway.publish("trade", slab, price=price)
        await gateway.publish("funding", slab, rate="0.5")
    return {
        "trade": await gateway.publish("trade", slab, price=7),
        "funding": await gateway.publish("funding", slab, rate="-0.0001"),
        "price": await gateway.publish("price", slab, price=2, markPrice=2.1, indexPrice=1.9),
    }


async def noise(gateway: Gateway, count: int) -> int:
    """Publish trades on another market; give the last seq."""
    for _ in range(count):
        last = await gateway.publish("trade", "NOISE")
    return last


async def snapshots(gateway: Gateway, slab: str = "SOL") -> dict[str, Message]:
    """Subscribe to a whole market, and give its snapshots by type."""
    client = await gateway.client(f"price:{slab}", f"trades:{slab}", f"funding:{slab}")
    messages = await client.take(2)
    assert all(message["snapshot"] for message in messages)
    return {message["type"]: message for message in messages}


def check(found: dict[str, Message], seqs: dict[str, int]) -> None:
    """The last price, mark, index and rate, with their seqs."""
    price, funding = found["price"], found["funding"]
    assert (price["price"], price["markPrice"], price["indexPrice"]) == (2.0, 2.1, 1.9)
    assert funding["rate"] == "-0.0001"
    assert (price["seq"], funding["seq"]) == (seqs["price"], seqs["funding"])


@pytest.mark.parametrize("backlog", [10_000, 9, 1, 0])
async def test_last_price_mark_index_and_rate_are_there_after_a_restart(
    run: Run, backlog: int
) -> None:
    """Whether they are among the newest events that are read, or far behind them."""
    async with run() as gateway:
        seqs = await a_market(gateway)
        last = await noise(gateway, 50)
    async with run(backlog=backlog) as gateway:
        assert gateway.service.hub.book.seq == last
        check(await snapshots(gateway), seqs)
        market = await gateway.get_json("/markets/SOL")
        assert {kind: market[kind]["seq"] for kind in seqs} == seqs
        assert market["trade"]["price"] == 7


async def test_the_whole_state_is_the_same_before_and_after(run: Run) -> None:
    """What /markets shows is folded from the stream alone."""
    async with run() as gateway:
        for slab in ("SOL", "BTC", "x" * 64):
            await a_market(gateway, slab)
        await gateway.has_read(await noise(gateway, 3))
        before = await gateway.get_json("/markets")
    async with run(backlog=5) as gateway:
        assert await gateway.get_json("/markets") == before


async def test_more_markets_than_one_request_names_are_all_there(run: Run) -> None:
    """NATS gives the last values of some hundred subjects a request; a market needs three."""
    slabs = [f"S{number}" for number in range(1_100)]
    async with run() as gateway:
        for slab in slabs:
            last = await gateway.publish("price", slab)
        await gateway.has_read(last)
    async with run(backlog=0) as gateway:
        assert list((await gateway.get_json("/markets"))["markets"]) == sorted(slabs)


async def test_live_events_go_on_after_the_snapshot_in_one_chain(run: Run) -> None:
    """The first live rate says that the one of the snapshot was before it."""
    async with run() as gateway:
        seqs = await a_market(gateway)
        await noise(gateway, 20)
    async with run(backlog=10) as gateway:
        client = await gateway.client("funding:SOL")
        assert (await client.receive())["seq"] == seqs["funding"]
        seq = await gateway.publish("funding", "SOL")
        live = await client.receive()
        assert (live["seq"], live["prev"]) == (seq, seqs["funding"])


async def test_the_newest_events_can_be_had_again_after_a_restart(run: Run) -> None:
    """The backlog fills the logs: `recent` and `since` work as before."""
    async with run() as gateway:
        seqs = [await gateway.publish("trade", "SOL") for _ in range(5)]
    async with run() as gateway:
        client = await gateway.client()
        await client.subscribed("trades:SOL", recent=2)
        assert [message["seq"] for message in await client.take(2)] == seqs[-2:]
        other = await gateway.client()
        await other.subscribed("trades:SOL", since=seqs[0])
        messages = await other.take(4)
        assert [(m["seq"], m["prev"]) for m in messages] == list(zip(seqs[1:], seqs, strict=False))


@pytest.mark.parametrize("backlog", [10_000, 0])
async def test_a_bad_event_that_came_last_does_not_hide_the_value_before_it(
    run: Run, backlog: int
) -> None:
    """The last price is the last valid one, before a restart and after it."""
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


async def test_kill_9_of_the_gateway_costs_no_state(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """A process that had no time for anything; the one after it has all there was."""
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
        check({message["type"]: message for message in await client.take(2)}, seqs)
        client.abort()


async def test_the_state_outlives_nats_itself(nats_process: NatsServer) -> None:
    """The stream is on disk: the server ends, starts again, and a new gateway has the state."""
    async with running(nats_process.url, "PERCOLATOR") as gateway:
        seqs = await a_market(gateway)
        epoch = gateway.service.hub.book.epoch
    nats_process.kill()
    nats_process.start()
    async with running(nats_process.url, "PERCOLATOR") as gateway:
        check(await snapshots(gateway), seqs)
        assert gateway.service.hub.book.epoch == epoch
