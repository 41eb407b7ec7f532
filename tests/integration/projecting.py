"""Projectors as processes, and the candles that a plain fold makes of the same stream."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import nats.errors

from percolator.jetstream import stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, direct_get_all
from percolator.jetstream.liveness import raise_if_cancelled
from tests.cli.program import PROGRAM, Program
from tests.client import PATIENCE
from tests.gateway import eventually
from tests.nats_client import connected

INTERVAL_MS = 1000
GRACE_MS = 2000
EVENTS, CANDLES = "PERCOLATOR", "PERCOLATOR_CANDLES"


def fold(events: Iterable[Stored], epoch: str, interval: int = INTERVAL_MS) -> dict[Any, bytes]:
    """Make the candles of a stream, by minute and market, in the simplest way."""
    now, found, traded = 0, dict[Any, dict[str, Any]](), set[str]()
    for seq, subject, payload, stored, *_ in events:
        now = max(now, stored // 1_000_000)
        _, kind, slab = subject.split(".")
        if kind not in ("trade", "price") or (kind == "price" and slab in traded):
            continue
        event = json.loads(payload)
        start = min(event["timestamp"], now) // interval * interval
        if now >= start + interval + GRACE_MS:
            start = now // interval * interval
        if kind == "trade":
            traded.add(slab)
            for key, each in list(found.items()):
                is_open = now < key[0] + interval + GRACE_MS
                if key[1] == slab and key[0] >= start and each["source"] == "prices" and is_open:
                    del found[key]
        price = float(event["price"])
        candle = found.setdefault((start, slab), {"type": "candle", "slab": slab, "start": start})
        candle["open"] = candle.get("open", price)
        candle["high"] = max(candle.get("high", price), price)
        candle["low"] = min(candle.get("low", price), price)
        candle["close"] = price
        candle["volume"] = str(int(candle.get("volume", 0)) + int(event.get("size", 0)))
        candle["trades"] = candle.get("trades", 0) + (kind == "trade")
        candle |= {"source": f"{kind}s", "last": seq, "epoch": epoch}
        candle["timestamp"] = start + interval
    return {key: json.dumps(found[key], separators=(",", ":")).encode() for key in sorted(found)}


class Running:
    """A projector as a process; its log lines are collected."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def role(self) -> str:
        """What it says that it does: "writing", "standing", or nothing yet."""
        said = [line.partition("projector: ")[2] for line in list(self.lines)]
        roles = [line.split()[0] for line in said if line.startswith(("writing", "standing"))]
        return roles[-1] if roles else ""

    async def becomes(self, role: str) -> None:
        """Wait until it says so."""
        await eventually(lambda: self.role == role)

    def freeze(self) -> None:
        """Stop all of its threads."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Resume it."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """End it with SIGTERM; return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def start(folder: Path, url: str, *flags: str, interval: int = INTERVAL_MS) -> Running:
    """Start a projector; a test uses it as a context manager."""
    seconds = str(interval // 1000)
    command = [str(PROGRAM), "project", "--nats-url", url, "--interval-seconds", seconds, *flags]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=Program(folder).environment(),
    )
    return Running(process)


class Streams:
    """Both streams, as a test sees them."""

    def __init__(self, client: NatsClient) -> None:
        self.client = client

    async def publish(self, kind: str, slab: str = "SOL", **fields: object) -> int:
        """Publish an event with the present time, or another; return its seq.

        Until NATS acknowledges it, it is published again.
        """
        usual: dict[str, Any] = {"price": 1.5, "timestamp": time.time_ns() // 1_000_000}
        own = {"side": "long", "size": "1"} if kind == "trade" else {}
        body = json.dumps(usual | own | fields).encode()
        context = self.client.jetstream(timeout=1)
        while True:
            raise_if_cancelled()  # nats-py may swallow a cancellation
            with contextlib.suppress(nats.errors.Error):
                return (await context.publish(f"percolator.{kind}.{slab}", body)).seq
            await asyncio.sleep(0.1)

    async def events(self) -> list[Stored]:
        """Return all that the stream of events holds."""
        return await self._all(EVENTS)

    async def written(self) -> list[Stored]:
        """Return all that the stream of candles holds."""
        return await self._all(CANDLES)

    async def _all(self, name: str) -> list[Stored]:
        request: dict[str, object] = {"seq": 1, "batch": 1000, "next_by_subj": ">"}
        return [each async for each in direct_get_all(self.client, name, request)]

    async def expected(self, interval: int = INTERVAL_MS) -> dict[Any, bytes]:
        """Return the candles that the plain fold makes of the stream."""
        state = await stream.ensure(self.client, EVENTS)
        return fold(await self.events(), state.epoch, interval)

    async def all_written(self, count: int) -> list[Stored]:
        """Wait until there is a number of candles, and return them."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(Exception):  # there may be no stream yet
                    info = await self.client.jetstream().stream_info(CANDLES)
                    if info.state.messages >= count:
                        return await self.written()
                await asyncio.sleep(0.05)

    async def more_written(self, count: int) -> None:
        """Wait for a number of candles beside those that are there."""
        before = len(await self.all_written(0))
        await self.all_written(before + count)

    async def check(self, interval: int = INTERVAL_MS) -> list[Stored]:
        """Wait for all candles: none is missing, none is there twice, and none differs."""
        expected = await self.expected(interval)
        written = await self.all_written(len(expected))
        assert {key_of(each): each.payload for each in written} == expected
        assert max(Counter(map(key_of, written)).values()) == 1
        starts = [key_of(each)[0] for each in written]
        assert starts == sorted(starts)
        return written


def key_of(candle: Stored) -> tuple[int, str]:
    """Return a candle's minute and market."""
    fields = json.loads(candle.payload)
    assert candle.subject == f"percolator.candle.{fields['slab']}"
    return fields["start"], fields["slab"]


@contextlib.asynccontextmanager
async def streams(url: str, ping_seconds: int = 120) -> AsyncIterator[Streams]:
    """Connect, and create the stream of events. A frozen server is noticed after some pings."""
    client = await connected(url, max_reconnect_attempts=-1, ping_interval=ping_seconds)
    try:
        await stream.ensure(client, EVENTS)
        yield Streams(client)
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def trading(streams: Streams, *slabs: str, pause: float = 0.03) -> AsyncIterator[None]:
    """Publish trades in these markets all the time, and prices in ETH."""

    async def publish() -> None:
        number = 0
        while True:
            raise_if_cancelled()
            number += 1
            for slab in slabs:
                await streams.publish("trade", slab, price=1 + number % 7, size=str(number))
            await streams.publish("price", "ETH", price=2.5 + number % 5)
            await asyncio.sleep(pause)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lateness(written: Iterable[Stored], interval: int = INTERVAL_MS) -> Iterator[float]:
    """Yield for each candle the seconds from when its minute was finished until it was stored."""
    for each in written:
        yield each.time / 1e9 - (key_of(each)[0] + interval + GRACE_MS) / 1000
