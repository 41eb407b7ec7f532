"""The recorded market: 344 s of two perpetuals, with its bursts, played as if it were now.

The trades and prices are a recording (see `data/README.md`); the funding rates are made up, one a
minute for each market, since the recording has none.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from percolator.model.channel import Channel
from percolator.model.kinds import FUNDING, KIND_OF_NAME, Kind

FUNDING_SECONDS = 60.0
SLABS = ("BTC", "ETH")


class Taped(NamedTuple):
    """One event, `at` seconds after the start; `fields` has no slab and no timestamp."""

    at: float
    kind: Kind
    slab: str
    fields: dict[str, Any]


@cache
def recording() -> tuple[Taped, ...]:
    """Read the recording, in the order of its times."""
    packed = files("percolator").joinpath("data/tape.jsonl.gz").read_bytes()
    return tuple(_taped(json.loads(line)) for line in gzip.decompress(packed).splitlines())


def _taped(line: dict[str, Any]) -> Taped:
    at = line.pop("atMs") / 1000
    kind, slab = KIND_OF_NAME[line.pop("type")], line.pop("slab")
    del line["timestamp"]
    return Taped(at, kind, slab, line)


def with_funding(events: tuple[Taped, ...]) -> Iterator[Taped]:
    """Put a made-up funding rate a minute for each market between the events."""
    due = 0.0
    for event in events:
        while event.at >= due:
            for index, slab in enumerate(SLABS):
                rate = f"{((int(due) // 60 * 7 + index * 3) % 21 - 10) / 100_000:.5f}"
                yield Taped(due, FUNDING, slab, {"rate": rate})
            due += FUNDING_SECONDS
        yield event


def markets(slabs: int) -> list[Taped]:
    """Give so many markets: the two recorded ones, then copies of them under names of their own.

    Each pair of copies is shifted in time, so that their bursts do not come together.
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
    publish: Callable[[str, bytes], Awaitable[object]],
    *,
    speed: float = 1.0,
    loop: bool = False,
    slabs: int = len(SLABS),
) -> int:
    """Publish `slabs` markets at `speed` times their pace (0: as fast as it goes), stamped now.

    `publish` takes a subject and a payload; up to some hundred calls are under way at once, started
    in order. Gives the number of events published; with `loop` it plays until cancelled.
    """
    events = markets(slabs)
    clock = asyncio.get_running_loop().time
    count = 0
    async with asyncio.TaskGroup() as group:
        room = asyncio.Semaphore(256)

        async def send(subject: str, payload: bytes) -> None:
            try:
                await publish(subject, payload)
            finally:
                room.release()

        while True:
            start = clock()
            for event in events:
                wait = start + event.at / speed - clock() if speed else 0
                if wait > 0.001:  # noqa: PLR2004 - a timer's own grain
                    await asyncio.sleep(wait)
                await room.acquire()
                body = {**event.fields, "timestamp": time.time_ns() // 1_000_000}
                subject = Channel(event.kind, event.slab).subject
                group.create_task(send(subject, json.dumps(body).encode()))
                count += 1
            if not loop:
                return count
