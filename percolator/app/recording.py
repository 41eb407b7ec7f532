"""The recorded market: 344 s of two perpetuals, with bursts, played as if it were now.

Trades and prices are a recording (see `data/README.md`). Funding rates are made up, one per minute
and market, since the recording has none.
"""

import asyncio
import gzip
import itertools
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from percolator.model.channel import Channel
from percolator.model.kinds import FUNDING, KIND_OF_NAME, Kind

FUNDING_SECONDS = 60.0
MAX_IN_FLIGHT = 256
SLABS = ("BTC", "ETH")


class RecordedEvent(NamedTuple):
    """One event, `at` seconds after the start; `fields` lacks slab and timestamp."""

    at: float
    kind: Kind
    slab: str
    fields: dict[str, Any]


@cache
def recording() -> tuple[RecordedEvent, ...]:
    """Return the recording, in order of time."""
    packed = files("percolator").joinpath("data/tape.jsonl.gz").read_bytes()
    return tuple(_event(json.loads(line)) for line in gzip.decompress(packed).splitlines())


def _event(line: dict[str, Any]) -> RecordedEvent:
    at = line.pop("atMs") / 1000
    kind, slab = KIND_OF_NAME[line.pop("type")], line.pop("slab")
    del line["timestamp"]
    return RecordedEvent(at, kind, slab, line)


def with_funding(events: tuple[RecordedEvent, ...]) -> Iterator[RecordedEvent]:
    """Insert a made-up funding rate per minute and market between the events."""
    due = 0.0
    for event in events:
        while event.at >= due:
            for index, slab in enumerate(SLABS):
                rate = f"{((int(due) // 60 * 7 + index * 3) % 21 - 10) / 100_000:.5f}"
                yield RecordedEvent(due, FUNDING, slab, {"rate": rate})
            due += FUNDING_SECONDS
        yield event


def markets(slabs: int) -> list[RecordedEvent]:
    """Return the events of a number of markets: the two recorded ones, then renamed copies.

    Each pair of copies is shifted in time, so that their bursts do not coincide.
    """
    events = tuple(with_funding(recording()))
    length = events[-1].at
    pairs = -(-slabs // len(SLABS))
    copies = []
    for number in range(slabs):
        pair, source = divmod(number, len(SLABS))
        name = f"{SLABS[source]}-{pair + 1}" if pair else SLABS[source]
        shift = length * pair / pairs
        copies += [
            event._replace(slab=name, at=(event.at + shift) % length if pair else event.at)
            for event in events
            if event.slab == SLABS[source]
        ]
    return sorted(copies, key=lambda event: event.at)


async def play(
    publish: Callable[[str, bytes, str], Awaitable[object]],
    *,
    speed: float = 1.0,
    loop: bool = False,
    slabs: int = len(SLABS),
) -> int:
    """Publish a number of markets, with the current time as timestamp.

    `speed` is a factor of real time; 0 is as fast as possible. `publish` takes a subject, a payload
    and a message id, which no other event has; up to MAX_IN_FLIGHT calls run at once, started in
    order. Returns the number of events published; with `loop`, plays until cancelled.
    """
    events = markets(slabs)
    run = f"demo-{secrets.token_hex(8)}"
    clock = asyncio.get_running_loop().time
    count = 0
    async with asyncio.TaskGroup() as group:
        room = asyncio.Semaphore(MAX_IN_FLIGHT)

        async def send(subject: str, payload: bytes, message_id: str) -> None:
            try:
                await publish(subject, payload, message_id)
            finally:
                room.release()

        for turn in itertools.count():
            start = clock()
            for line, event in enumerate(events):
                wait = start + event.at / speed - clock() if speed else 0
                if wait > 0.001:  # noqa: PLR2004 - the resolution of a timer
                    await asyncio.sleep(wait)
                await room.acquire()
                now_ms = time.time_ns() // 1_000_000
                body = {**event.fields, "slab": event.slab, "timestamp": now_ms}
                subject = Channel(event.kind, event.slab).subject
                message_id = f"{run}:{turn}:{event.slab}:{line}"
                group.create_task(send(subject, json.dumps(body).encode(), message_id))
                count += 1
            if not loop:
                break
    return count
