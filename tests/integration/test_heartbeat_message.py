"""The message `heartbeat`: what a client gets when there is nothing else."""

import asyncio
import time

import pytest

from percolator.gateway import sweep
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

SECONDS = 0.3


@pytest.fixture
async def gateway(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that sends a heartbeat after 0.3 s without a message."""
    monkeypatch.setattr(sweep, "SWEEP_SECONDS", 0.02)
    return await start_gateway(heartbeat_interval=SECONDS)


async def test_the_greeting_says_how_often_heartbeats_come(gateway: Gateway) -> None:
    """In milliseconds, next to the limits."""
    greeting = await (await gateway.handshake()).receive()
    assert greeting["heartbeatMs"] == 300
    settings = gateway.service.settings
    assert greeting["limits"] == {
        "messageBytes": settings.max_message_bytes,
        "messagesPerSecond": settings.messages_per_second,
        "messageBurst": settings.message_burst,
        "channels": settings.max_channels_per_client,
        "replay": settings.replay_limit,
    }


async def test_a_client_that_is_sent_nothing_gets_heartbeats(gateway: Gateway) -> None:
    """With or without subscriptions, again and again; ping frames do not count as messages."""
    seq = await gateway.publish("trade", "BTC")
    await gateway.has_read(seq)
    before = time.time_ns() // 1_000_000
    for client in (await gateway.client("trades:SOL", "price:SOL"), await gateway.client()):
        for message in await client.receive_many(3):
            assert message.keys() == {"type", "timestamp", "seq"}
            assert (message["type"], message["seq"]) == ("heartbeat", seq)
            assert before <= message["timestamp"] <= time.time_ns() // 1_000_000


async def test_a_client_on_a_busy_market_gets_no_heartbeat(gateway: Gateway) -> None:
    """An event within the interval is enough; so is a reply."""
    busy, asking, quiet = [await gateway.client(f"trades:{slab}") for slab in ("A", "B", "C")]
    heard = asyncio.create_task(quiet.receive_many(4))
    while not heard.done():
        await gateway.publish("trade", "A")
        asking.send({"type": "ping"})
        await asyncio.sleep(SECONDS / 10)
    assert {message["type"] for message in await heard} == {"heartbeat"}
    assert {one["type"] for one in await busy.receive_until_pong()} <= {"trade", "pong"}
    assert {one["type"] for one in await asking.receive_until_pong()} == {"pong"}


async def test_a_resume_from_a_heartbeat_loses_and_repeats_nothing(gateway: Gateway) -> None:
    """Its seq is far after the last event that the client has seen."""
    client = await gateway.client("trades:SOL")
    await gateway.publish("trade", "SOL")
    for _ in range(5):
        other = await gateway.publish("trade", "BTC")
    heartbeat = (await client.receive_until(lambda one: one.get("seq", 0) >= other))[-1]
    assert (heartbeat["type"], heartbeat["seq"]) == ("heartbeat", other)
    client.abort()
    missed = [await gateway.publish("trade", "SOL") for _ in range(3)]
    back = await gateway.handshake()
    greeting = await back.receive()
    since = {"since": heartbeat["seq"], "epoch": greeting["epoch"]}
    await back.subscribed("trades:SOL", **since)
    assert [message["seq"] for message in await back.receive_many(3)] == missed


async def test_with_an_interval_of_0_no_heartbeat_is_sent(
    start_gateway: StartGateway, gateway: Gateway
) -> None:
    """The greeting says so."""
    off = await start_gateway(heartbeat_interval=0)
    client, other = await off.handshake(), await gateway.client()
    assert (await client.receive())["heartbeatMs"] == 0
    await other.receive_many(3)
    assert [one["type"] for one in await client.receive_until_pong()] == ["pong"]
