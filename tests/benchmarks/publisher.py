"""The publisher of a benchmark, a process of its own: `python -m tests.benchmarks.publisher`.

    storm NATS_URL EVENTS BATCH EVERY_MS   trades of one market, BATCH at a time
    tape NATS_URL SPEED SECONDS            the recorded market

It prints how many events went out, and in how many seconds. It waits for no acks: what arrives is
counted at the other end.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

import nats
from nats.aio.client import Client

from percolator import tape

SUBJECT = "percolator.trade.SOL"
TRADE = '{"type":"trade","slab":"SOL","side":"long","size":"1000000","price":1.5,"timestamp":%d}'


async def storm(client: Client, events: int, batch: int, every: float) -> int:
    """Publish `events` trades, `batch` at a time, every so many seconds."""
    due = time.monotonic()
    for start in range(0, events, batch):
        for _ in range(min(batch, events - start)):
            await client.publish(SUBJECT, (TRADE % (time.time_ns() // 1_000_000)).encode())
        await client.flush()
        due += every
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
    return events


async def play(client: Client, speed: float, seconds: float) -> dict[str, int]:
    """Publish the recorded market for some seconds; give the number of events by subject."""
    sent: Counter[str] = Counter()

    async def publish(subject: str, payload: bytes) -> None:
        await client.publish(subject, payload)
        sent[subject] += 1

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await tape.play(publish, speed=speed, loop=True)
    await client.flush()
    return dict(sent)


async def run(arguments: list[str]) -> dict[str, object]:
    """Do what the command line says."""
    what, url, *rest = arguments
    numbers = [float(number) for number in rest]
    client = await nats.connect(url)
    started = time.monotonic()
    result: dict[str, object] = {}
    if what == "storm":
        events, batch, every = numbers
        result["events"] = await storm(client, int(events), int(batch), every / 1000)
    else:
        speed, seconds = numbers
        result["subjects"] = await play(client, speed, seconds)
    result["seconds"] = time.monotonic() - started
    await client.close()
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1:]))))
