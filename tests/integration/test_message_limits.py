"""Limits on a client's messages: how many, how large, and how soon the first must arrive."""

import asyncio
import json

import pytest
from websockets.frames import Opcode

from percolator.config.settings import Settings
from percolator.fanout import session
from percolator.gateway.transports import READ_BYTES
from tests.client import Client, close_frame, frame
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

PING = frame(b'{"type":"ping"}'.ljust(256))
"""A message that fills the slice in which it is parsed, so that each one is parsed alone."""


async def test_messages_over_the_rate_wait(start_gateway: StartGateway) -> None:
    """All are answered and none is refused: the burst at once, the others at the rate."""
    gateway = await start_gateway(messages_per_second=20, message_burst=5)
    client = await gateway.client()
    clock = asyncio.get_running_loop().time
    began = clock()
    for number in range(15):
        client.write(frame(json.dumps({"type": "ping", "id": number}).ljust(256).encode()))
    answers = await client.receive_many(15)
    assert [(answer["type"], answer["id"]) for answer in answers] == [
        ("pong", number) for number in range(15)
    ]
    assert clock() - began >= (15 - 5 - 1) / 20
    assert gateway.service.stats.message_waits > 0


async def test_a_page_that_comes_back_with_many_subscribes_is_not_closed(
    start_gateway: StartGateway,
) -> None:
    """With the default limits, one subscribe per market for 100 markets, all at once."""
    defaults = Settings()
    gateway = await start_gateway(
        messages_per_second=defaults.messages_per_second, message_burst=defaults.message_burst
    )
    client = await gateway.client()
    for number in range(100):
        client.subscribe(f"price:M{number}", id=number)
    answers = await client.receive_many(100)
    assert [(answer["type"], answer["id"]) for answer in answers] == [
        ("subscribed", number) for number in range(100)
    ]
    assert gateway.service.stats.message_waits == 0


@pytest.fixture
async def waiting(start_gateway: StartGateway) -> tuple[Gateway, Client]:
    """A gateway, and a client that has sent 1 MB of messages and waits for its rate."""
    gateway = await start_gateway(messages_per_second=0.5, message_burst=1)
    client = await gateway.client()
    client.write(PING * 4_000)
    await eventually(lambda: bool(gateway.service.gateway.parsing.waiting))
    return gateway, client


async def test_a_client_that_waits_holds_no_more_than_one_read(
    waiting: tuple[Gateway, Client],
) -> None:
    """The rest of what it sent stays in the kernel, or with the client."""
    gateway, _ = waiting
    (connection,) = gateway.service.gateway.connections
    await gateway.client("trades:SOL", local="127.0.0.2")
    assert len(connection._unparsed) <= READ_BYTES
    assert gateway.service.stats.bytes_received < 2 * READ_BYTES


async def test_a_client_that_waits_is_still_sent_its_events(
    start_gateway: StartGateway,
) -> None:
    """Only what it sends has to wait."""
    gateway = await start_gateway(messages_per_second=0.5, message_burst=1)
    client = await gateway.client("trades:SOL")
    client.write(PING * 10)
    await eventually(lambda: bool(gateway.service.gateway.parsing.waiting))
    await client.receive_until_type("pong")
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive())["seq"] == seq


async def test_a_client_that_goes_away_while_it_waits_is_noticed_after_the_wait(
    start_gateway: StartGateway,
) -> None:
    """Nothing is read meanwhile; its place is free again when it would be read."""
    gateway = await start_gateway(messages_per_second=5, message_burst=1)
    client = await gateway.client()
    client.write(PING * 2)
    await client.receive_until_type("pong")
    await eventually(lambda: bool(gateway.service.gateway.parsing.waiting))
    client.reset()
    await eventually(lambda: not gateway.service.gateway.connections)
    assert gateway.service.admission.places.total == 0


async def test_the_close_frame_of_a_client_that_waits_is_read_at_a_shutdown(
    waiting: tuple[Gateway, Client],
) -> None:
    """Its wait ends: nothing that it sent is carried out any more, and it is not cut off."""
    gateway, client = waiting
    client.write(close_frame(1000))
    await gateway.service.gateway.stop(5)
    assert (await client.closed())[0] == 1001
    await client.gone()
    assert gateway.service.gateway.parsing.waiting == {}


async def test_a_flood_that_lasts_is_closed(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 1008, as long as its debt is never paid."""
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.5)
    gateway = await start_gateway(messages_per_second=20, message_burst=5)
    client = await gateway.client("trades:SOL")
    client.write(PING * 200)
    assert await client.closed() == (1008, "too many messages")
    await client.gone()
    assert 5 <= len(client.texts) - 2 <= 5 + 20 * 1
    assert not gateway.service.slab_limits.clients


@pytest.mark.parametrize("size", [0, 125, 126, 4_096])
async def test_a_message_up_to_the_limit_is_read(gateway: Gateway, size: int) -> None:
    """However it is split into frames."""
    client = await gateway.client()
    client.send("x" * size)
    assert (await client.receive())["code"] == "invalid_json"


@pytest.mark.parametrize("pieces", [1, 2, 10])
async def test_a_larger_message_is_closed_with_1009(gateway: Gateway, pieces: int) -> None:
    """Even if only all its fragments together are too large."""
    client = await gateway.client("price:SOL")
    part = b"x" * (4_100 // pieces)
    client.write(frame(part, fin=pieces == 1))
    for number in range(1, pieces):
        client.write(frame(part, Opcode.CONT, fin=number == pieces - 1))
    assert (await client.closed())[0] == 1009
    await client.gone()


@pytest.mark.usefixtures("short_deadlines")
async def test_a_client_that_never_speaks_is_closed(start_gateway: StartGateway) -> None:
    """After subscribe_timeout, with 1008; a client that has sent a message may then stay silent."""
    gateway = await start_gateway(subscribe_timeout=1)
    speaker = await gateway.client()
    await speaker.receive_until_pong()
    silent = await gateway.client()
    pinging = await gateway.client()
    pinging.ping(b"not a message")
    for client in (silent, pinging):
        assert await client.closed() == (1008, "no message was sent in time")
        await client.gone()
    assert [message["type"] for message in await speaker.receive_until_pong()] == ["pong"]
