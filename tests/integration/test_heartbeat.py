"""The gateway pings every client, and cuts off those that do not answer."""

import asyncio

import pytest
from websockets.frames import Opcode

from percolator.fanout import session
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


async def test_a_client_that_shows_no_sign_of_life_is_cut_off(
    start_gateway: StartGateway,
) -> None:
    """Without a close frame."""
    gateway = await start_gateway(**SHORT)
    client = await gateway.client("price:SOL")
    client.answers_pings = False
    await client.gone()
    assert client.close_received is None
    assert gateway.service.stats.closed == {1006: 1}


SIGNS = {
    "empty pongs": frame(b"", Opcode.PONG),
    "pongs with another payload": frame(b"not the payload", Opcode.PONG),
    "pings": frame(b"", Opcode.PING),
    "messages": frame(b'{"type":"ping"}'),
    "fragments": frame(b"", Opcode.CONT, fin=False),
}


@pytest.mark.parametrize("data", SIGNS.values(), ids=SIGNS)
async def test_any_frame_is_a_sign_of_life(start_gateway: StartGateway, data: bytes) -> None:
    """It is only the payload of a pong that says how long it took."""
    gateway = await start_gateway(**SHORT)
    client = await gateway.client("price:SOL")
    client.answers_pings = False
    if data == SIGNS["fragments"]:
        client.write(frame(b"{", fin=False))
    for count in range(1, 9):  # longer than a client has that shows none
        await client.until(lambda count=count: len(client.pings) >= count)  # type: ignore[misc]
        client.write(data)
    assert client.lost is False
    assert sum(gateway.service.heartbeat.pongs.counts) == 0


async def test_pongs_of_any_payload_that_answer_our_pings_cost_nothing(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose pongs are empty never has to wait; one more than asked for is a message."""
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.2)
    gateway = await start_gateway(**QUICK, messages_per_second=0.001, message_burst=1)
    client = await gateway.client()
    client.answers_pings = False
    for count in range(1, 5):
        await client.until(lambda count=count: len(client.pings) >= count)  # type: ignore[misc]
        client.write(SIGNS["empty pongs"])
    await eventually(lambda: not gateway.service.heartbeat._pinged)
    assert gateway.service.stats.message_waits == 0
    client.write(SIGNS["empty pongs"] * 2)
    await eventually(lambda: gateway.service.stats.message_waits == 1)


async def test_a_client_that_reads_slowly_all_the_time_is_never_cut_off(
    start_gateway: StartGateway,
) -> None:
    """A busy market is more than it can take, and each ping waits behind some of it.

    Scaled: a timeout of 0.2 s instead of 10, and 100 kB/s instead of 2.
    """
    gateway = await start_gateway(ping_interval=0.3, pong_timeout=0.2)
    client = await gateway.client("trades:SOL", receive_buffer=4_096)
    client.stop_reading()
    clock = asyncio.get_running_loop().time
    began, behind = clock(), 0
    while len(client.pings) < 4 or clock() - began < 3:
        await asyncio.gather(*(gateway.publish("trade", "SOL") for _ in range(50)))
        client.resume_reading()
        received = len(client.texts)
        await client.until(lambda received=received: len(client.texts) > received)  # type: ignore[misc]
        client.stop_reading()
        behind = max(behind, gateway.service.hub.paused)
        assert client.lost is False
    assert behind == 1
    assert len(gateway.service.gateway.connections) == 1


async def test_a_client_that_waits_for_its_rate_is_not_cut_off(
    start_gateway: StartGateway,
) -> None:
    """Its pongs are not read meanwhile; afterwards it has the full timeout."""
    gateway = await start_gateway(
        ping_interval=0.2, pong_timeout=0.3, messages_per_second=1, message_burst=1
    )
    client = await gateway.client()
    client.write(frame(b'{"type":"ping"}') * 3)
    parsing = gateway.service.gateway.parsing
    await eventually(lambda: bool(parsing.waiting))
    await client.until(lambda: bool(client.pings) or client.lost is not False)
    await eventually(lambda: not parsing.waiting)
    count = len(client.pings)
    await client.until(lambda: len(client.pings) >= count + 3 or client.lost is not False)
    assert client.lost is False


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
    """A client whose connection accepts nothing, not even pings, has longer, but not forever."""
    gateway = await start_gateway(ping_interval=0.3, pong_timeout=0.1)
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
