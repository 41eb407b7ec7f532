"""Projection: how soon a projector that is a million events behind has written all candles."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import nats.errors
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsError
from percolator.jetstream import candles
from tests.benchmarks.history import fill, make_stream
from tests.benchmarks.processes import Process
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Stage
from tests.nats_client import connected

STORED = 1_000_000
LIMIT_SECONDS = 30
INTERVAL_SECONDS = 1
"""Instead of a minute: the events are stored within a few seconds, and several candles are to be
written for each market."""
STREAMS = ("PERCOLATOR", "PERCOLATOR_CANDLES")


def run(stage: Stage) -> list[Row]:
    """Fill a stream, start a projector, and wait until it has read and written everything."""
    with stage.nats() as nats_server:
        url = nats_server.url
        asyncio.run(make_stream(url))
        fill(stage, "market", url, STORED)
        command = [
            *(str(Path(sys.executable).with_name("percolator")), "project", "--nats-url", url),
            *("--interval-seconds", str(INTERVAL_SECONDS), "--log-level", "error"),
        ]
        started = time.monotonic()
        with Process(command, stage.server_core) as projector:
            projector.line()
            read, cpu = time.monotonic() - started, projector.cpu
            wrote = asyncio.run(_written(url, started))
            memory = projector.memory("VmHWM")
    name = "projection"
    return [
        Row(name, "events in the stream", (STORED,)),
        Row(name, "until all are read, start included", (read,), "s", LIMIT_SECONDS),
        Row(name, "until all candles are written", (wrote[1],), "s", LIMIT_SECONDS),
        Row(name, "candles", (wrote[0],)),
        Row(name, "events per second, start included", (STORED / read,), "/s"),
        Row(name, "CPU per event, start included", (cpu / STORED * 1e6,), "us"),
        Row(name, "peak memory", (memory / 1e6,), "MB"),
    ]


async def _written(url: str, started: float) -> tuple[int, float]:
    """Wait until the newest event is in a candle; return how many there are, and the seconds."""
    client = await connected(url)
    try:
        while True:
            with contextlib.suppress(nats.errors.Error, JetStreamError, NatsError):
                events, written = [await candles.time_of(client, each) for each in STREAMS]
                newest = f'"last":{events.state.last_seq},'.encode()
                found = await candles.last_candles(client, STREAMS[1])
                if any(newest in each.payload for each in found.values()):
                    return written.state.last_seq, time.monotonic() - started
            await asyncio.sleep(0.1)
    finally:
        await client.close()
