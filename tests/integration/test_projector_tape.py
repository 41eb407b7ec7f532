"""The recorded market with a projector that is killed again and again: every candle, once."""

import asyncio
import gzip
import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from percolator.app import recording
from percolator.jetstream.publisher import Publisher
from percolator.model.channel import Channel
from percolator.model.kinds import KIND_OF_NAME
from tests.integration.projecting import EVENTS, Streams, start, streams
from tests.nats_server import NatsServer

SLICE = Path(__file__).parents[1] / "data" / "tape-slice.jsonl.gz"
KILLS = 20
LIVES = (0.2, 2.5)
"""Seconds after which a projector is killed: some before it reads anything, some amid its work."""

Publish = Callable[[str, bytes, str], Awaitable[object]]


async def play_slice(publish: Publish, speed: float) -> None:
    """Publish 25 s of the recording, at a factor of real time; 0 is as fast as possible."""
    began = time.monotonic()
    for number, line in enumerate(gzip.decompress(SLICE.read_bytes()).splitlines()):
        event = json.loads(line)
        at = event.pop("atMs") / 1000
        if speed:
            await asyncio.sleep(max(0.0, began + at / speed - time.monotonic()))
        event["timestamp"] = time.time_ns() // 1_000_000
        subject = Channel(KIND_OF_NAME[event["type"]], event["slab"]).subject
        await publish(subject, json.dumps(event).encode(), f"slice:{number}")


async def play_to(both: Streams, url: str, folder: Path, play: Callable[[Publish], object]) -> int:
    """Play while projectors are killed, then check the candles; return how many there are."""
    chance = random.Random(folder.name)  # noqa: S311 - a test
    publisher = Publisher(both.client, EVENTS)
    playing = asyncio.ensure_future(play(publisher.publish))  # type: ignore[call-overload]
    for _ in range(KILLS):
        with start(folder, url) as projector:
            await asyncio.sleep(chance.uniform(*LIVES))
            projector.kill()
    await playing
    with start(folder, url):
        return len(await both.check())


async def test_the_recorded_slice_at_ten_times_its_speed(
    nats_process: NatsServer, tmp_path: Path
) -> None:
    """2,000 events, and twenty kills that go on after the last of them."""
    async with streams(nats_process.url) as both:
        count = await play_to(
            both, nats_process.url, tmp_path, lambda publish: play_slice(publish, 10)
        )
    assert count >= 4


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("speed", [0, 10])
async def test_the_whole_recording(nats_process: NatsServer, tmp_path: Path, speed: float) -> None:
    """39,797 events at full speed, then at ten times their pace, with twenty kills each."""
    async with streams(nats_process.url) as both:
        count = await play_to(
            both, nats_process.url, tmp_path, lambda publish: recording.play(publish, speed=speed)
        )
    assert count >= (2 if speed == 0 else 60)
