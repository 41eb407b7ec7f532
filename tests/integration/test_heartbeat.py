"""The gateway pings every client, and cuts off those that do not answer."""

import asyncio

import pytest
from websockets.frames import Opcode

from tests.client import frame
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

QUICK = {"ping_interval": 0.2, "pong_timeout": 10}
"""For clients that answer, however slow the machine is."""
SHORT = {"ping_interval": 0.2, "pong_timeout": 1}
"""For clients that do not."""


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that pings five times per second."""
    return await start_gateway(**QUICK)


async def test_a_client_that_answers_is_pinged_repeatedly(gateway: Gateway) -> None:
    """The time that its pongs take is recorded."""
    client = await gateway.client("price:SOL")
    await client.until(lambda: len(client.pings) >= 3)
    await eventually(lambda: sum(gateway.service.heartbeat.pongs.counts) >= 3)
    assert [message["type"] for message in await client.receive_until_pong()] == ["pong"]


async def test_a_client_that_does_not_answer_is_cut_off(start_gateway: StartGateway) -> None:
    """Without a close frame, whatever else it sends: only a pong is an answer."""
    gateway = await start_gateway(**SHORT)
    client = await gateway.client("price:SOL")
    client.answers_pings = False
    while client.lost is False:
        await client.until(lambda: bool(client.pongs) or client.lost is not False)
        client.pongs.clear()
        client.ping()
        client.send({"type": "ping"})
        client.write(frame(b"not the payload", Opcode.PONG))
        await client.until(lambda: bool(client.pongs) or client.lost is not False)
    assert client.close_received is None
    assert gateway.service.stats.closed == {1006: 1}


async def test_a_client_that_is_cut_off_frees_its_places_at_once(
    start_gateway: StartGateway,
) -> None:
    """Its place on the gateway, for its address and on the market; other clients are unaffected."""
    gateway = await start_gateway(
        **SHORT, max_connections=2, max_connections_per_ip=1, max_connections_per_slab=1
    )
    witness = await gateway.client("price:BTC", local="127.0.0.2")
    silent = await gateway.client("price:SOL")
    silent.answers_pings = False
    await silent.gone()
    await gateway.client("price:SOL")
    assert [message["type"] for message in await witness.receive_until_pong()] == ["pong"]


async def test_a_client_behind_a_dead_line_is_cut_off(start_gateway: StartGateway) -> None:
    """A client whose connection accepts nothing, not even pings, gets no extra time."""
    gateway = await start_gateway(ping_interval=1, pong_timeout=0.5)
    client = await gateway.client("trades:SOL", receive_buffer=4_096)
    client.stop_reading()
    hub, connections = gateway.service.hub, gateway.service.gateway.connections
    was_behind = 0
    while connections:
        await asyncio.gather(*(gateway.publish("trade", "SOL") for _ in range(200)))
        was_behind = max(was_behind, hub.paused)
    assert (was_behind, hub.paused) == (1, 0)


async def test_with_an_interval_of_0_no_client_is_pinged(start_gateway: StartGateway) -> None:
    """Nor is any cut off for not answering."""
    gateway = await start_gateway(ping_interval=0, pong_timeout=0.2)
    other = await start_gateway(**QUICK)
    client, pinged = await gateway.client(), await other.client()
    await pinged.until(lambda: len(pinged.pings) >= 3)
    assert client.pings == []
    assert [message["type"] for message in await client.receive_until_pong()] == ["pong"]
