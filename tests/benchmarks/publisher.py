"""The publisher of a benchmark, a process of its own: `python -m tests.benchmarks.publisher`.

    storm NATS_URL EVENTS BATCH EVERY_MS   trades of one market, BATCH at a time
    extras NATS_URL EVENTS BATCH EVERY_MS  the same, with fields that no kind has
    prices NATS_URL EVENTS MARKETS EVERY_MS  prices of markets in turn, one at a time
    market NATS_URL EVENTS BATCH           trades and prices of MARKETS, at full speed
    recording NATS_URL SPEED SECONDS       the recorded market

It prints how many events went out, and in how many seconds. It waits for no acks: received events
are counted by the clients.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

import nats
from nats.aio.client import Client

from percolator.app import recording

MARKETS = 21  # not a multiple of five, so that each market has both kinds
SUBJECT = "percolator.trade.SOL"
TRADE = '{"type":"trade","slab":"SOL","side":"long","size":"1000000","price":1.5,"timestamp":%d}'


EXTRAS = (
    ',"id":"5KtPn1LGuxhFiwjxErkxTb7XxtLVYUBe:SOL:0","tx":"5KtPn1LGuxhFiwjxErkxTb7XxtLVYUBe",'
    '"trader":"9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin","fee":0.0025,"slot":312345678}'
)
"""What a publisher on a chain adds to a trade."""


async def storm(client: Client, events: int, batch: int, every: float, form: str = TRADE) -> int:
    """Publish `events` trades, `batch` at a time, every `every` seconds."""
    due = time.monotonic()
    for start in range(0, events, batch):
        for _ in range(min(batch, events - start)):
            await client.publish(SUBJECT, (form % (time.time_ns() // 1_000_000)).encode())
        await client.flush()
        due += every
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
    return events


async def prices(client: Client, events: int, markets: int, every: float) -> int:
    """Publish `events` prices of `markets` in turn, one every `every` seconds."""
    due = time.monotonic()
    for number in range(events):
        fields = {"price": 1.5, "timestamp": time.time_ns() // 1_000_000}
        await client.publish(f"percolator.price.M{number % markets}", json.dumps(fields).encode())
        due += every
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
    await client.flush()
    return events


async def market(client: Client, events: int, batch: int) -> int:
    """Publish trades and prices of many markets, four to one."""
    for number in range(events):
        kind = "trade" if number % 5 else "price"
        subject = f"percolator.{kind}.M{number % MARKETS}"
        timestamp = time.time_ns() // 1_000_000
        fields = {"side": "long", "size": "1000000"} if kind == "trade" else {}
        await client.publish(
            subject, json.dumps(fields | {"price": 1.5, "timestamp": timestamp}).encode()
        )
        if number % batch == 0:
            await client.flush()
    await client.flush()
    return events


async def play(client: Client, speed: float, seconds: float) -> dict[str, int]:
    """Publish the recorded market for some seconds; return the number of events by subject."""
    sent: Counter[str] = Counter()

    async def publish(subject: str, payload: bytes, _message_id: str) -> None:
        await client.publish(subject, payload)
        sent[subject] += 1

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await recording.play(publish, speed=speed, loop=True)
    await client.flush()
    return dict(sent)


async def run(arguments: list[str]) -> dict[str, object]:
    """Run with the arguments of the command line."""
    what, url, *rest = arguments
    numbers = [float(number) for number in rest]
    client = await nats.connect(url)
    started = time.monotonic()
    result: dict[str, object] = {}
    if what == "storm":
        events, batch, every = numbers
        result["events"] = await storm(client, int(events), int(batch), every / 1000)
    elif what == "extras":
        events, batch, every = numbers
        form = TRADE.removesuffix("}") + EXTRAS
        result["events"] = await storm(client, int(events), int(batch), every / 1000, form)
    elif what == "prices":
        events, markets, every = numbers
        result["events"] = await prices(client, int(events), int(markets), every / 1000)
    elif what == "market":
        result["events"] = await market(client, *map(int, numbers))
    else:
        speed, seconds = numbers
        result["subjects"] = await play(client, speed, seconds)
    result["seconds"] = time.monotonic() - started
    await client.close()
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1:]))))
