"""Limits on a client's messages: how many, how large, and how soon the first must arrive."""

import pytest
from websockets.frames import Opcode

from tests.client import frame
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway


async def test_a_client_that_sends_too_many_messages_is_warned_and_then_closed(
    start_gateway: StartGateway,
) -> None:
    """Each message over the limit gets an error with its id; the third in a row closes it."""
    gateway = await start_gateway(messages_per_second=0.001, message_burst=5)
    client = await gateway.client()
    for number in range(5):
        client.send({"type": "ping", "id": number})
    for number in (5, 6):
        client.send({"type": "subscribe", "channels": ["price:SOL"], "id": number})
    client.send("no JSON")
    answers = await client.receive_many(8)
    assert [answer["type"] for answer in answers] == ["pong"] * 5 + ["error"] * 3
    assert [answer.get("id") for answer in answers] == [*range(7), None]
    assert {answer.get("code") for answer in answers[5:]} == {"rate_limited"}
    assert await client.closed() == (1008, "too many messages")
    assert not gateway.service.slab_limits.clients


async def test_a_rate_limited_message_is_not_carried_out(start_gateway: StartGateway) -> None:
    """An unsubscribe over the limit leaves the channel followed."""
    gateway = await start_gateway(messages_per_second=0.001, message_burst=1)
    client = await gateway.client("trades:SOL")
    client.send({"type": "unsubscribe", "channels": ["trades:SOL"]})
    assert (await client.receive())["code"] == "rate_limited"
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive())["seq"] == seq


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
