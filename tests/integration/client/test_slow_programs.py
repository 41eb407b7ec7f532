"""Programs that are too slow for what they follow, or do not read at all."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from percolator.client import Gap, Update, follow, inbox
from tests.channels import subject_of
from tests.gateway import Gateway, event_json, eventually
from tests.hostile import CONNECTED, SUBSCRIBED, hostile_gateway, saying, text
from tests.integration.conftest import StartGateway
from tests.scripted import price, scripted, trade

TRADES, PRICE = "trades:SOL", "price:SOL"
BATCH, BATCH_SECONDS = 50, 0.1
"""500 trades per second, and a price each 100 ms."""
CONSUMER_SECONDS = 0.02


@contextlib.asynccontextmanager
async def market(gateway: Gateway) -> AsyncIterator[None]:
    """Publish trades and prices that have the time of their publication."""

    async def publish() -> None:
        while True:
            now = int(time.time() * 1_000)
            for _ in range(BATCH):
                payload = event_json("trade", timestamp=now)
                await gateway.nats.publish(subject_of("trade", "SOL"), payload)
            payload = event_json("price", timestamp=now)
            await gateway.nats.publish(subject_of("price", "SOL"), payload)
            await asyncio.sleep(BATCH_SECONDS)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_slow_program_gets_prices_that_are_less_than_a_second_old(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 20 ms per message; what it holds is bounded, and gaps say what was dropped."""
    monkeypatch.setattr(inbox, "LENGTH", 300)
    gateway = await start_gateway(price_interval=0)
    ages: list[float] = []
    trades: list[int] = []
    gaps: list[Gap] = []
    held = 0
    url = f"ws://127.0.0.1:{gateway.port}"
    async with market(gateway), follow(url, [TRADES, PRICE]) as feed:
        async for message in feed:
            await asyncio.sleep(CONSUMER_SECONDS)
            held = max(held, len(feed._follower._inbox._queue))
            match message:
                case Gap():
                    assert message.announced
                    assert message.after == trades[-1]
                    gaps.append(message)
                case Update(channel="price:SOL"):
                    ages.append(time.time() - message.event.timestamp / 1_000)
                case Update():
                    if trades and gaps and gaps[-1].after == trades[-1]:
                        assert message.seq >= gaps[-1].before
                    trades.append(message.seq)
            if gaps and len(ages) >= 20:
                break
    assert max(ages) < 1
    assert held <= 300
    assert trades == sorted(set(trades))
    assert (await gateway.stats())["clientsBehind"] == 0


def _newest(waiting: inbox.Inbox) -> int:
    """Return the seq of the newest trade that waits."""
    newest = waiting._queue[-1].message if waiting._queue else None
    return newest.seq if isinstance(newest, Update) else 0


async def test_a_program_that_does_not_read_at_all_holds_a_bounded_number_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Afterwards it gets one gap with exact seqs, what came after it, and the newest price."""
    monkeypatch.setattr(inbox, "LENGTH", 100)
    async with scripted() as gateway, follow(gateway.url, [TRADES, PRICE]) as feed:
        peer = await gateway.subscribed()
        for seq in range(10, 2_010, 2):
            await peer.send(trade(seq, seq - 2), price(seq + 1))
        await peer.send(trade(2_010, 2_008))
        waiting = feed._follower._inbox
        await eventually(lambda: _newest(waiting) == 2_010)
        assert len(waiting._queue) <= 100
        assert len(waiting._slots) == 1
        newest, gap, *rest = [
            await anext(feed) for _ in range(len(waiting._queue) + len(waiting._slots))
        ]
    assert isinstance(newest, Update)
    assert newest.seq == 2_009
    assert isinstance(gap, Gap)
    seqs = [each.seq for each in rest if isinstance(each, Update)]
    assert gap == Gap(TRADES, 8, seqs[0] - 1)
    assert seqs == [*range(seqs[0], 2_011, 2)]


async def test_a_program_gets_its_turn_while_much_arrives_at_once() -> None:
    """Thousands of messages may come in one read of the socket."""
    trades = b"".join(text(trade(seq, seq - 1)) for seq in range(6, 5_006))
    with hostile_gateway(speak=saying(text(CONNECTED), text(SUBSCRIBED), trades)) as gateway:
        async with follow(gateway.ws, TRADES) as feed:
            await anext(feed)
            assert len(feed._follower._inbox._queue) < 200
