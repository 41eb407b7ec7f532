"""The cost of a flood to honest clients: their latency without and under attack.

    python -m tests.benchmarks.flood --seconds 10

One gateway as a process, with default limits, and 100 honest clients on a market with 50 trades per
second. The attack: 200 connection attempts per second from one address, and 100 clients with
addresses of their own that send garbage and reconnect when they are cut off. The gateway has a core
to itself if there are two. The attackers run in another process, at low priority, so that the
figures show the gateway's share of the delay. Other work on the machine is in the figures too:
`waiting` is the time for which the gateway waited for its core.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path

import nats

from percolator.jetstream.publisher import Publisher
from tests.cli.program import Program, Serving
from tests.client import Client, upgrade
from tests.nats_server import NatsServer

HONEST = 100
EVENTS_PER_SECOND = 50
ATTEMPTS_PER_SECOND = 200
GARBAGE = 100
JUNK = 30
PAUSE_SECONDS = 1.0


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    return sorted(values)[int(share * (len(values) - 1))]


class Reader(Client):
    """A client that records how old each trade was on arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def data_received(self, data: bytes) -> None:
        """Read the clock before anything else."""
        now = time.monotonic_ns()
        super().data_received(data)
        if b'"trade"' in data:
            trades = (json.loads(text) for text in self.texts if b'"trade"' in text)
            self.seconds += [(now - int(trade["size"])) / 1e9 for trade in trades]
            self.texts.clear()


async def readers(port: int) -> list[Reader]:
    """Connect the honest clients, a few from each address."""
    clients = []
    for number in range(HONEST):
        client = await Reader.dial("127.0.0.1", port, local=f"127.0.2.{number // 4 + 1}")
        client.write(upgrade())
        await client.opened()
        await client.subscribed("trades:SOL")
        clients.append(client)
    return clients


async def latencies(clients: list[Reader], publisher: Publisher, seconds: float) -> list[float]:
    """Publish for a while; return how long each trade took to each client."""
    for client in clients:
        client.seconds.clear()
    due = time.monotonic()
    count = int(seconds * EVENTS_PER_SECOND)
    for _ in range(count):
        due += 1 / EVENTS_PER_SECOND
        trade = {"side": "long", "size": str(time.monotonic_ns()), "price": 1.5, "timestamp": 1}
        await publisher.publish("percolator.trade.SOL", json.dumps(trade).encode())
        await asyncio.sleep(max(due - time.monotonic(), 0))
    for client in clients:
        await client.until(lambda client=client: len(client.seconds) >= count)  # type: ignore[misc]
    return [value for client in clients for value in client.seconds]


async def attack(port: int) -> None:
    """Attack until killed."""
    os.nice(10)
    await asyncio.gather(*attack_parts(port))


def attack_parts(port: int) -> list[Coroutine[None, None, None]]:
    """Return the coroutines of the attackers; each runs forever."""
    garbage = [_send_garbage(port, f"127.0.3.{number + 1}") for number in range(GARBAGE)]
    return [_attempt_upgrades(port), *garbage]


async def _attempt_upgrades(port: int) -> None:
    """Request 200 upgrades per second from one address."""
    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while True:
            due += 1 / ATTEMPTS_PER_SECOND
            group.create_task(_attempt_upgrade(port))
            await asyncio.sleep(max(due - time.monotonic(), 0))


async def _attempt_upgrade(port: int) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=("127.0.3.250", 0)
            )
            with contextlib.closing(writer):
                writer.write(upgrade())
                await reader.read(4_096)


async def _send_garbage(port: int, address: str) -> None:
    """Connect, send invalid messages until cut off, and connect again."""
    await asyncio.sleep(random.uniform(0, 1) * PAUSE_SECONDS)  # noqa: S311 - only jitter
    while True:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, local_addr=(address, 0)
                )
                with contextlib.closing(writer):
                    writer.write(upgrade())
                    await reader.readuntil(b"\r\n\r\n")
                    for _ in range(JUNK):
                        writer.write(b"\x81\xa0" + bytes(4) + os.urandom(16).hex().encode())
                    writer.write(os.urandom(512))
                    while await reader.read(4_096):
                        pass
        await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)  # noqa: S311 - jitter


class Gateway:
    """The gateway's process, on a core of its own, and its use of that core."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(pid, cores[:1])
            os.sched_setaffinity(0, cores[1:])
        self._before = self._used()

    def _used(self) -> tuple[float, float, float]:
        """Time, CPU and waiting for the CPU, all in seconds."""
        running, waiting, _ = Path(f"/proc/{self._pid}/schedstat").read_text().split()
        return time.monotonic(), int(running) / 1e9, int(waiting) / 1e9

    def shares(self) -> dict[str, float]:
        """CPU and waiting since the last call, in percent of the time."""
        before, self._before = self._before, self._used()
        elapsed = self._before[0] - before[0]
        used = [100 * (b - a) / elapsed for a, b in zip(before[1:], self._before[1:], strict=True)]
        return {"cpu_percent": used[0], "waiting_percent": used[1]}


async def measure(gateway: Serving, nats_url: str, seconds: float) -> dict[str, dict[str, float]]:
    """Run quiet, under attack, and quiet again."""
    process = Gateway(gateway.running.process.pid)
    port = int(gateway.ws.rpartition(":")[2])
    client = await nats.connect(nats_url)
    publisher = Publisher(client, "PERCOLATOR")
    honest = await readers(port)
    await latencies(honest, publisher, 1)
    found = {}
    for name in ("quiet", "attack", "quiet again"):
        with contextlib.ExitStack() as stack:
            if name == "attack":
                command = [sys.executable, "-m", "tests.benchmarks.flood", "--attack", str(port)]
                attackers = stack.enter_context(subprocess.Popen(command))  # noqa: ASYNC220
                stack.callback(attackers.kill)
                await asyncio.sleep(1)
            process.shares()
            values = await latencies(honest, publisher, seconds)
        found[name] = {
            "p50_ms": percentile(values, 0.5) * 1_000,
            "p99_ms": percentile(values, 0.99) * 1_000,
            "max_ms": max(values) * 1_000,
            **process.shares(),
        }
    await client.close()
    return found


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flood", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="seconds per run, of three runs (default: 10)"
    )
    parser.add_argument("--attack", type=int, metavar="PORT", help="attack this port until killed")
    options = parser.parse_args()
    if options.attack:
        asyncio.run(attack(options.attack))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with NatsServer(folder / "nats") as server:
            program = Program(folder, nats_url=server.url, max_connections_per_slab=0)
            with program.gateway() as gateway:
                found = asyncio.run(measure(gateway, server.url, options.seconds))
    for run, figures in found.items():
        print(f"{run:12}", *(f"{key} {value:7.2f}" for key, value in figures.items()))
    ratio = found["attack"]["p99_ms"] / found["quiet"]["p99_ms"]
    print(f"p99 under attack is {ratio:.2f} times its value in the quiet run")


if __name__ == "__main__":
    main()
