"""Connections that open and end in every way leave nothing behind."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from percolator.fanout import session
from percolator.fanout.followers import Cursor, Group
from percolator.fanout.session import ClientSession
from percolator.gateway import connection
from percolator.gateway.connection import Connection
from tests.client import frame, upgrade
from tests.gateway import Gateway, eventually, leftovers
from tests.integration.conftest import StartGateway

ROUNDS = 50
AT_ONCE = 80
LEGACY = b'{"type":"subscribe","slabAddress":"SOL"}'


async def leaves_politely(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL", "trades:BTC")
    client.close()
    await client.gone()


async def vanishes(gateway: Gateway) -> None:
    (await gateway.client("trades:SOL")).abort()


async def is_reset(gateway: Gateway) -> None:
    (await gateway.client("trades:SOL", "funding:SOL")).reset()


async def is_reset_in_its_request(gateway: Gateway) -> None:
    client = await gateway.dial()
    client.write(upgrade()[:60])
    await asyncio.sleep(0)
    client.reset()


async def is_reset_behind_its_request(gateway: Gateway) -> None:
    client = await gateway.dial()
    client.write(upgrade() + frame(LEGACY))
    await asyncio.sleep(0)
    client.reset()


async def says_nothing_at_all(gateway: Gateway) -> None:
    await (await gateway.dial()).gone()


async def says_nothing_after_the_upgrade(gateway: Gateway) -> None:
    await (await gateway.handshake()).gone()


async def sends_garbage_first(gateway: Gateway) -> None:
    client = await gateway.dial()
    client.write(b"\x16\x03\x01\r\n\r\n")
    await client.gone()


async def sends_garbage_later(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.write(b"\xff" * 100)
    await client.gone()


async def sends_too_much(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.write(frame(b"x" * 5_000))
    await client.gone()


async def sends_too_fast(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.write(frame(b"{}") * 500)
    await client.gone()


async def closes_its_side(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.close_write_side()
    await client.gone()


async def does_not_answer(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.answers_pings = False
    await client.gone()


async def does_not_answer_the_close(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL")
    client.answers_close = False
    client.write(frame(b"x" * 5_000))
    await client.gone()


async def asks_in_plain_http(gateway: Gateway) -> None:
    await gateway.get("/ws/stats")


async def finds_the_market_full(gateway: Gateway) -> None:
    client = await gateway.handshake()
    client.subscribe("price:FULL")
    await client.gone()


async def finds_no_place(gateway: Gateway) -> None:
    client = await gateway.handshake(headers={"X-Forwarded-For": "203.0.113.1"})
    await client.gone()


async def changes_its_mind(gateway: Gateway) -> None:
    client = await gateway.client("price:SOL", "trades:SOL")
    client.send({"type": "unsubscribe", "slabAddress": "SOL"})
    client.subscribe("price:BTC")
    await client.receive_until_type("subscribed")
    client.reset()


async def stops_reading(gateway: Gateway) -> None:
    client = await gateway.client("trades:BUSY", receive_buffer=4_096)
    client.stop_reading()


WAYS: list[Callable[[Gateway], Awaitable[None]]] = [
    leaves_politely,
    vanishes,
    is_reset,
    is_reset_in_its_request,
    is_reset_behind_its_request,
    says_nothing_at_all,
    says_nothing_after_the_upgrade,
    sends_garbage_first,
    sends_garbage_later,
    sends_too_much,
    sends_too_fast,
    closes_its_side,
    does_not_answer,
    does_not_answer_the_close,
    asks_in_plain_http,
    finds_the_market_full,
    finds_no_place,
    changes_its_mind,
    stops_reading,
    vanishes,
]


def alive() -> int:
    """Count the connection objects that are still in memory."""
    gc.collect()
    return sum(
        isinstance(each, Connection | ClientSession | Cursor | Group) for each in gc.get_objects()
    )


@pytest.mark.usefixtures("short_deadlines")
async def test_after_a_thousand_connections_every_counter_is_zero(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their memory is freed too, while events continue throughout."""
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.2)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)  # enough for clients that send a request
    gateway = await start_gateway(
        ping_interval=0.5,
        pong_timeout=1,
        subscribe_timeout=1,
        messages_per_second=10,
        message_burst=20,
        trusted_proxies=["127.0.0.1"],
        max_connections_per_ip=10_000,
        max_connections_per_slab=10_000,
    )
    service = gateway.service
    service.slab_limits.clients["FULL"] = 10_000
    service.admission.places.by_address["203.0.113.1"] = 10_000
    over = asyncio.Event()

    async def market() -> None:
        while not over.is_set():
            for slab in ("SOL", "BTC", "BUSY"):
                await gateway.publish("trade", slab)
                await gateway.publish("price", slab)

    publishing = asyncio.create_task(market())
    room, cut_short = asyncio.Semaphore(AT_ONCE), 0

    async def open_and_end(way: Callable[[Gateway], Awaitable[None]]) -> None:
        nonlocal cut_short
        async with room:
            try:
                await way(gateway)
            except AssertionError:  # on a busy machine a deadline may come first
                cut_short += 1

    await asyncio.gather(*(open_and_end(way) for way in WAYS * ROUNDS))
    assert cut_short < ROUNDS
    over.set()
    await publishing
    await gateway.disconnect_clients()
    assert service.slab_limits.clients.pop("FULL") == 10_000
    assert service.admission.places.by_address.pop("203.0.113.1") == 10_000
    assert leftovers(service) == {}
    assert {1000, 1002, 1006, 1008, 1009} <= service.stats.closed.keys()
    assert ROUNDS - cut_short <= sum(service.stats.refused.values()) <= ROUNDS
    await eventually(lambda: not alive())
