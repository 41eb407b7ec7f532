"""An orderly shutdown: announced, spread out, bounded in time, with nothing left behind."""

import asyncio
import json

import pytest

from tests.client import PATIENCE, upgrade
from tests.gateway import Gateway, leftovers
from tests.integration.conftest import StartGateway

GOING_AWAY = (1001, "the gateway is shutting down, reconnect")


async def test_clients_are_told_to_reconnect_and_then_closed(gateway: Gateway) -> None:
    """Each with a delay of its own, so that they do not all reconnect at once."""
    clients = await gateway.clients(20, "price:SOL")
    await gateway.service.stop()
    times = set()
    for client in clients:
        closing = await client.receive()
        assert closing.keys() == {"type", "reconnectInMs"}
        assert closing["type"] == "closing"
        assert closing["reconnectInMs"] in range(60_000)
        times.add(closing["reconnectInMs"])
        assert await client.closed() == GOING_AWAY
        await client.gone()
    assert len(times) > 1
    assert gateway.service.stats.closed == {1001: 20}
    assert leftovers(gateway.service) == {}


async def test_a_client_that_does_not_close_is_cut_off_in_time(start_gateway: StartGateway) -> None:
    """Whether it does not answer, does not read, or has not even sent a request."""
    gateway = await start_gateway(drain_seconds=0.5)
    deaf = await gateway.client("trades:SOL", receive_buffer=4_096)
    deaf.answers_close = False
    stuck = await gateway.client("trades:SOL", receive_buffer=4_096)
    stuck.stop_reading()
    while not gateway.service.hub.paused:
        await gateway.has_read(await gateway.publish("trade", "SOL"))
    mute = await gateway.dial()
    async with asyncio.timeout(PATIENCE):
        await gateway.service.stop()
    await deaf.gone()
    await mute.gone()
    assert leftovers(gateway.service) == {}


async def test_a_gateway_that_shuts_down_refuses_new_clients(start_gateway: StartGateway) -> None:
    """An upgrade gets 503, on a socket that is open already or new; later nothing listens."""
    gateway = await start_gateway(drain_seconds=60)
    early = await gateway.dial()
    stays = await gateway.client("price:SOL")
    stays.answers_close = False
    stopping = asyncio.create_task(gateway.service.stop())
    await stays.receive_until_type("closing")
    for client in (early, await gateway.dial()):
        client.write(upgrade())
        await client.answered()
        assert client.head.startswith(b"HTTP/1.1 503 ")
    stays.abort()
    await stopping
    with pytest.raises(ConnectionRefusedError):
        await gateway.dial()


async def test_readiness_fails_before_the_clients_are_closed(start_gateway: StartGateway) -> None:
    """So a balancer sends no new clients here; it can see why, and that the process is alive."""
    gateway = await start_gateway(drain_seconds=60)
    stays = await gateway.client("price:SOL")
    stays.answers_close = False
    stopping = asyncio.create_task(gateway.service.stop())
    await stays.receive_until_type("closing")
    status, _, body = await gateway.get("/health")
    assert status == 503
    checks = json.loads(body)["checks"]
    assert checks["serving"] == {"ok": False, "reason": "the gateway is shutting down"}
    assert checks["nats"] == {"ok": True}
    assert (await gateway.get("/health/live"))[0] == 200
    stays.abort()
    await stopping


async def test_a_request_in_progress_does_not_delay_the_shutdown(
    start_gateway: StartGateway,
) -> None:
    """The gateway waits for clients only."""
    gateway = await start_gateway(drain_seconds=3_600)
    mute = await gateway.dial()
    mute.write(b"GET /health HTTP/1.1\r\n")
    async with asyncio.timeout(PATIENCE):
        await gateway.service.stop()
    await mute.gone()


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_a_shutdown_ends_although_clients_do_not_close(
    share: float, start_gateway: StartGateway
) -> None:
    """They are waited for, and not forever; neither are a feed and a NATS that do not answer."""
    gateway = await start_gateway(drain_seconds=4 * share)
    clients = await gateway.clients(10, "trades:SOL")
    for client in clients:
        client.answers_close = False
    clock = asyncio.get_running_loop().time
    start = clock()
    async with asyncio.timeout(PATIENCE):
        await gateway.service.stop()
    assert clock() - start > 3 * share
    for client in clients:
        assert await client.closed() == GOING_AWAY


async def test_a_client_gets_the_accepted_events_before_it_is_closed(
    start_gateway: StartGateway,
) -> None:
    """The close frame follows the events; the client resumes there on another gateway."""
    first, second = await start_gateway(), await start_gateway()
    client = await first.client("trades:SOL")
    seqs = [await first.publish("trade", "SOL") for _ in range(20)]
    await first.has_read(seqs[9])
    await first.service.stop()
    assert await client.closed() == GOING_AWAY
    got = [json.loads(text)["seq"] for text in client.texts if b'"trade"' in text]
    assert got == seqs[: len(got)]
    again = await second.client()
    again.subscribe("trades:SOL", since=got[-1] if got else seqs[0] - 1)
    await again.receive_until_type("subscribed")
    assert [each["seq"] for each in await again.receive_many(20 - len(got))] == seqs[len(got) :]


async def test_a_gateway_without_clients_stops_at_once(start_gateway: StartGateway) -> None:
    """There is nothing to wait for, however long it might wait."""
    gateway = await start_gateway(drain_seconds=3_600)
    async with asyncio.timeout(PATIENCE):
        await gateway.service.stop()
