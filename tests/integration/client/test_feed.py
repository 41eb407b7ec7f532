"""The feed that `follow` returns: how a program reads it, changes its channels and leaves it."""

import asyncio
import contextlib
import gc
import socket
import threading
import time

import pytest

from percolator.client import Feed, Gap, State, Update, follow
from percolator.errors import RequestError
from tests.client import PATIENCE
from tests.gateway import Gateway, eventually
from tests.hostile import CONNECTED, TRADE, hostile_gateway, text
from tests.integration.client.following import following
from tests.scripted import ScriptedGateway, price, scripted, trade

TRADES = "trades:SOL"


def tasks() -> int:
    """Return how many tasks there are."""
    return len(asyncio.all_tasks())


async def test_a_cancelled_anext_neither_ends_the_feed_nor_loses_a_message(
    gateway: Gateway,
) -> None:
    """A program waits with a timeout, again and again, while trades come."""
    url = f"ws://127.0.0.1:{gateway.port}"
    sent: list[int] = []
    got: list[int] = []
    timeouts = 0
    async with follow(url, [TRADES], since=0) as feed:

        async def publish() -> None:
            sent.extend([await gateway.publish("trade", "SOL") for _ in range(30)])

        publishing = asyncio.create_task(publish())
        while len(got) < 30:
            try:
                async with asyncio.timeout(0.0005):
                    message = await anext(feed)
            except TimeoutError:
                timeouts += 1
                await asyncio.sleep(0.001)
            else:
                assert isinstance(message, Update)
                got.append(message.seq)
        await publishing
    assert got == sent
    assert timeouts


async def test_wait_for_may_be_used_on_a_feed_again_and_again() -> None:
    """The first timeout is not the end."""
    async with scripted() as gateway, follow(gateway.url, TRADES) as feed:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(feed), 0.01)
        peer = await gateway.subscribed()
        await peer.send(trade(6))
        message = await asyncio.wait_for(anext(feed), PATIENCE)
        assert isinstance(message, Update)
        assert message.seq == 6


async def leaves_with_1000(gateway: ScriptedGateway, number: int, before: int) -> None:
    """Wait until a client has closed with 1000, and its task has ended."""
    peer = await gateway.peer(number)
    await eventually(lambda: peer.close_code is not None)
    assert peer.close_code == 1000
    await eventually(lambda: tasks() <= before)


async def take_one(feed: Feed) -> None:
    """Leave a loop after its first message."""
    async for _ in feed:
        break


async def test_leaving_closes_with_1000_however_the_program_leaves() -> None:
    """By `async with`, `break` alone, `close`, the end of its task, and the garbage collector."""
    async with scripted() as gateway:
        gateway.answer = _greet_with_a_trade
        before = tasks()

        async def in_a_context() -> None:
            async with follow(gateway.url, TRADES) as feed:
                await anext(feed)

        async def by_break() -> None:
            await take_one(follow(gateway.url, TRADES))

        async def by_close() -> None:
            feed = follow(gateway.url, TRADES)
            await anext(feed)
            await feed.close()

        async def by_cancellation() -> None:
            async def endless() -> None:
                async for _ in follow(gateway.url, TRADES):
                    pass

            task = asyncio.create_task(endless())
            await gateway.subscribed(4)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        async def by_garbage() -> None:
            feed = follow(gateway.url, TRADES)
            await anext(feed)
            circle = [feed]
            circle.append(circle)  # type: ignore[arg-type]
            del feed, circle
            gc.collect()

        for number, leave in enumerate(
            (in_a_context, by_break, by_close, by_cancellation, by_garbage), 1
        ):
            await leave()
            await leaves_with_1000(gateway, number, before + 2)


async def _greet_with_a_trade(peer: object, request: dict[str, object]) -> None:
    await peer.accept(request)  # type: ignore[attr-defined]
    await peer.send(trade(6))  # type: ignore[attr-defined]


async def test_a_gateway_counts_leaving_as_a_normal_close(gateway: Gateway) -> None:
    """With trades on their way; before, it was an internal error."""
    await gateway.publish("trade", "SOL")
    for _ in range(2):
        await take_one(follow(f"ws://127.0.0.1:{gateway.port}", [TRADES], since=0))
    await eventually(lambda: not gateway.service.gateway.connections)
    assert (await gateway.stats())["closed"] == {"1000": 2}


async def test_the_program_may_end_while_it_follows() -> None:
    """The end of the loop closes the connection too."""
    done = threading.Event()
    codes: list[int | None] = []

    async def serve() -> None:
        async with scripted(answer=_greet_with_a_trade) as gateway:
            await asyncio.to_thread(lambda: asyncio.run(take_one(follow(gateway.url, TRADES))))
            peer = await gateway.peer()
            await eventually(lambda: peer.close_code is not None)
            codes.append(peer.close_code)
            done.set()

    await serve()
    assert done.is_set()
    assert codes == [1000]


async def test_leaving_takes_at_most_a_second_on_a_dead_line() -> None:
    """The gateway reads nothing and answers nothing."""
    release = threading.Event()

    def speak(client: socket.socket) -> None:
        client.sendall(text(CONNECTED))
        client.recv(1)  # of the request
        client.sendall(text({"type": "subscribed", "channels": [TRADES]}) + text(TRADE))
        release.wait(PATIENCE)

    with hostile_gateway(speak=speak) as gateway:
        feed = follow(gateway.ws, TRADES)
        await anext(feed)
        started = time.monotonic()
        await feed.close()
        assert time.monotonic() - started < 1.0
        release.set()


async def test_a_feed_that_has_ended_stays_ended() -> None:
    """Closing it twice is no fault, and a closed feed that never began has no task."""
    async with scripted() as gateway:
        feed = follow(gateway.url, TRADES)
        await feed.close()
        await feed.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(feed)
        assert feed.state.name == "closed"
        assert not gateway.peers


async def test_closing_ends_an_iteration_that_waits() -> None:
    """In another task."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        await gateway.subscribed()
        await program.feed.close()
        await program.task
        assert program.state == "closed"


async def test_channels_can_be_added_and_left() -> None:
    """What waits of a channel that is left is dropped, and so is what still comes."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        program.feed.subscribe(["price:SOL", "trades:BTC"], recent=3)
        await eventually(lambda: len(peer.asked("subscribe")) == 2)
        assert peer.requests[-1]["recent"] == 3
        await peer.send(trade(6), price(7), trade(8, slab="BTC"))
        await eventually(lambda: {*program.short} == {6, 7, 8})
        program.feed.unsubscribe(TRADES)
        await eventually(lambda: bool(peer.asked("unsubscribe")))
        assert peer.asked("unsubscribe")[0]["channels"] == [TRADES]
        await peer.send(trade(9), trade(10, slab="BTC"))
        await eventually(lambda: len(program.got) == 4)
        assert program.short[-1] == 10
        assert program.state == "live"


async def test_a_channel_that_is_left_and_added_at_once_starts_over() -> None:
    """It is unsubscribed first; the last events of the old subscription are not delivered."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(6))
        await eventually(lambda: program.short == [6])
        program.feed.unsubscribe(TRADES)
        program.feed.subscribe(TRADES, recent=2)
        await eventually(lambda: len(peer.asked("subscribe")) == 2)
        assert [each["type"] for each in peer.requests] == ["subscribe", "unsubscribe", "subscribe"]
        await peer.send(trade(5), trade(6))
        await eventually(lambda: program.short == [6, 5, 6])


async def test_a_second_subscribe_of_a_channel_changes_nothing() -> None:
    """One feed is one iterator: `recent` is for new channels."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        await eventually(lambda: program.state == "live")
        program.feed.subscribe(TRADES, recent=10)
        program.feed.subscribe("price:SOL")
        await eventually(lambda: len(peer.asked("subscribe")) == 2)
        assert peer.requests[-1]["channels"] == ["price:SOL"]


async def test_a_channel_name_that_is_not_valid_raises_at_once() -> None:
    """In `follow` and in `subscribe`; nothing else is affected."""
    with pytest.raises(RequestError, match="'trade:SOL' is not a valid channel"):
        follow("ws://localhost", "trade:SOL")
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        with pytest.raises(RequestError):
            program.feed.subscribe([TRADES, "trades:"])
        await gateway.subscribed()


async def test_a_fault_in_on_state_does_not_end_the_feed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged."""

    def on_state(_state: State) -> None:
        raise ZeroDivisionError

    async with (
        scripted(answer=_greet_with_a_trade) as gateway,
        follow(gateway.url, TRADES, on_state=on_state) as feed,
    ):
        await anext(feed)
    assert "on_state failed" in caplog.text


async def test_a_gap_is_told_apart_by_its_epoch(gateway: Gateway) -> None:
    """Every update has the epoch of its stream."""
    await gateway.publish("trade", "SOL")
    url = f"ws://127.0.0.1:{gateway.port}"
    async with follow(url, TRADES, since=70, epoch="another") as feed:
        gap, update = await anext(feed), await anext(feed)
    epoch = gateway.service.hub.book.epoch
    assert isinstance(gap, Gap)
    assert isinstance(update, Update)
    assert gap.epoch == update.epoch == epoch
