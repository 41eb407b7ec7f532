"""Charts: pages ask for candles over HTTP while 500 clients are sent trades."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any

import nats
from nats.aio.client import Client
from nats.js.api import StreamConfig

from percolator.jetstream import stream
from tests.benchmarks.clients import client_pool
from tests.benchmarks.processes import Process
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Stage
from tests.integration.reading_history import candle, write

CLIENTS = 500
EVENTS, EVERY_MS = 1_000, 20
"""Trades, one at a time: for 20 s."""
PER_SECOND = 50
SECONDS = 15
ROWS = 500
MINUTES = 3_000
CHANNELS = [["trades:SOL"]]
SETTLE_SECONDS = 0.5


def run(stage: Stage) -> list[Row]:
    """Measure requests for candles, and what they cost the clients."""
    quiet, quiet_cpu, _ = _measure(stage, charts=False)
    busy, busy_cpu, answers = _measure(stage, charts=True)
    name = f"charts, {PER_SECOND} per second"
    requests = len(answers["ms"])
    p50, p99 = (quantiles(answers["ms"], n=100)[at] for at in (49, 98))
    cpu_ms = max(busy_cpu - quiet_cpu, 0) / requests * 1e3
    return [
        Row(name, f"requests for {ROWS} candles", (requests,)),
        Row(name, "request, p50", (p50,), "ms"),
        Row(name, "request, p99", (p99,), "ms", 20),
        Row(name, "CPU per request", (cpu_ms,), "ms"),
        Row(name, "clients, latency p99 without requests", (quiet,), "ms"),
        Row(name, "clients, latency p99", (busy,), "ms"),
        Row(name, "clients, p99 with and without", (busy / quiet,), "x", 1.5),
    ]


def _measure(stage: Stage, *, charts: bool) -> tuple[float, float, dict[str, Any]]:
    """Return the clients' p99 in milliseconds, the gateway's CPU, and what the charts got."""
    answers: dict[str, Any] = {}
    with stage.nats() as server:
        asyncio.run(_fill(server.url))
        with (
            stage.gateway(server.url) as gateway,
            client_pool(stage, gateway, CLIENTS, CHANNELS) as clients,
        ):
            time.sleep(SETTLE_SECONDS)
            gateway.process.wait_until_quiet()
            before = gateway.process.cpu
            storm = ("storm", server.url, str(EVENTS), "1", str(EVERY_MS))
            with stage.publisher(*storm) as publisher:
                if charts:
                    with _asking(stage, gateway.port, server.url) as asking:
                        answers = json.loads(asking.finish())
                publisher.finish()
            gateway.process.wait_until_quiet()
            cpu = gateway.process.cpu - before
            own = clients.report(gateway)["own"]
    if own["faults"] or answers.get("faults"):
        raise RuntimeError(f"an answer or an event was wrong: {own} {answers.get('faults')}")
    return own["p99_ms"], cpu, answers


@contextmanager
def _asking(stage: Stage, port: int, url: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.benchmarks.charts", str(port), url]
    with Process(command, stage.load_core) as process:
        yield process


async def _fill(url: str) -> None:
    client = await nats.connect(url)
    await stream.ensure(client, "PERCOLATOR")
    await client.jetstream().add_stream(
        StreamConfig(name="PERCOLATOR_CANDLES", subjects=["percolator.candle.>"], allow_direct=True)
    )
    first = _minute_now() - MINUTES
    await write(client, (candle(number) for number in range(first, first + MINUTES)))
    await client.close()


def _minute_now() -> int:
    return int(time.time()) // 60


class Charts:
    """Pages that ask for the newest candles, each over a new connection, at a steady rate."""

    def __init__(self, port: int) -> None:
        self.ms: list[float] = []
        self.faults = 0
        self._port = port

    async def run(self, client: Client) -> None:
        """Ask for some seconds; a new candle comes every second."""
        tasks: list[asyncio.Task[None]] = []
        started, number = time.monotonic(), _minute_now()
        for request in range(PER_SECOND * SECONDS):
            await asyncio.sleep(max(started + request / PER_SECOND - time.monotonic(), 0))
            if request % PER_SECOND == 0:
                await write(client, [candle(number + request // PER_SECOND)])
            tasks.append(asyncio.create_task(self._ask()))
        await asyncio.gather(*tasks)

    async def _ask(self) -> None:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        path = f"/markets/SOL/candles?interval=1m&limit={ROWS}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        self.ms.append((time.monotonic() - began) * 1e3)
        writer.close()
        body = answer.partition(b"\r\n\r\n")[2]
        rows = json.loads(body)["candles"] if answer.startswith(b"HTTP/1.1 200 ") else []
        starts = [row["start"] for row in rows]
        self.faults += starts != [*range(starts[-1] - 60_000 * (ROWS - 1), starts[-1] + 1, 60_000)]


async def _main(port: int, url: str) -> None:
    charts = Charts(port)
    client = await nats.connect(url)
    await charts.run(client)
    await client.close()
    print(json.dumps({"ms": charts.ms, "faults": charts.faults}))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
