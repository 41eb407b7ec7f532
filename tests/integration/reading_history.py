"""Reading history over HTTP in tests: pages by their cursors, and a stream of candles."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from nats.aio.client import Client
from nats.js.api import StreamConfig

from tests.gateway import Gateway

MINUTE_MS = 60_000
Rows = list[dict[str, Any]]


async def ask(gateway: Gateway, path: str, **query: object) -> dict[str, Any]:
    """Return one answer, which must be 200; `from_` stands for the parameter `from`."""
    named = {name.rstrip("_"): value for name, value in query.items()}
    return await gateway.get_json(f"/markets/{path}?{urlencode(named)}")


async def walk(gateway: Gateway, path: str, rows: str, **query: object) -> tuple[Rows, int]:
    """Follow the cursors to the end; return all rows, the oldest first, and the pages read."""
    pages: list[Rows] = []
    fixed = {name: value for name, value in query.items() if name in ("limit", "interval")}
    is_back = False
    while True:
        answer = await ask(gateway, path, **query)
        pages.append(answer[rows])
        cursor = answer["next"]
        if cursor is None:
            break
        is_back = "before" in cursor or "to" in cursor
        query = {**fixed, **cursor}
    return [row for page in (pages[::-1] if is_back else pages) for row in page], len(pages)


@asynccontextmanager
async def candles_stream(client: Client, name: str) -> AsyncIterator[str]:
    """Make a stream of candles for a while; yield its name."""
    context = client.jetstream()
    await context.add_stream(
        StreamConfig(name=name, subjects=["percolator.candle.>"], allow_direct=True)
    )
    yield name
    await context.delete_stream(name)


def candle(number: int, **fields: object) -> dict[str, Any]:
    """Return the candle of a minute, counted from 1970, its usual fields overridden."""
    usual = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": "10", "trades": 2}
    return {
        "type": "candle",
        "slab": "SOL",
        "start": number * MINUTE_MS,
        **usual,
        "source": "trades",
        "last": number,
        "epoch": "",
        "timestamp": (number + 1) * MINUTE_MS,
        **fields,
    }


async def write(client: Client, candles: Iterable[dict[str, Any]]) -> None:
    """Write candles to their stream, in order."""
    context = client.jetstream()
    last = None
    for each in candles:
        last = await context.publish_async(
            f"percolator.candle.{each['slab']}", json.dumps(each).encode()
        )
    if last is not None:
        await context.publish_async_completed()
        await last
