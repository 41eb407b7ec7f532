"""Connections leave no work for the garbage collector, whose runs stop everything for a moment."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.client import Client, upgrade
from tests.gateway import Gateway, eventually

COUNT = 20


async def closes(gateway: Gateway) -> Client:
    client = await gateway.client("price:SOL", "trades:SOL")
    client.close()
    return client


async def is_reset(gateway: Gateway) -> Client:
    client = await gateway.client("price:SOL", "trades:SOL")
    client.reset()
    return client


async def is_refused(gateway: Gateway) -> Client:
    client = await gateway.dial()
    client.write(upgrade(headers={"Sec-WebSocket-Version": "12"}))
    return client


async def asks_in_plain_http(gateway: Gateway) -> Client:
    client = await gateway.dial()
    client.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


async def sends_garbage(gateway: Gateway) -> Client:
    client = await gateway.dial()
    client.write(b"\xff\r\n\r\n")
    return client


WAYS = [closes, is_reset, is_refused, asks_in_plain_http, sends_garbage]


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_that_has_ended_is_freed_at_once(
    gateway: Gateway, way: Callable[[Gateway], Awaitable[Client]]
) -> None:
    """However it ended; only references to it are counted, and no cycle keeps it."""
    await way(gateway)
    gc.collect()
    gc.disable()
    try:
        clients = [await way(gateway) for _ in range(COUNT)]
        for client in clients:
            await client.gone()
        await eventually(lambda: not gateway.service.gateway.connections)
        await asyncio.sleep(0)
        clients.clear()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.garbage)
        ours = {type(each).__module__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not [name for name in ours if name.startswith(("percolator.", "websockets."))], found
    assert found["_SelectorSocketTransport"] <= COUNT  # those of the clients
