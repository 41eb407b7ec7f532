"""Life: the recorded market at ten times its speed, to clients that follow three channels each.

The floor sends to each client as many times, and as many bytes, as the gateway did. The number of
sends is what the kernel counts on the clients' side.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.clients import WITNESSES, client_pool
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Stage
from tests.benchmarks.storms import SETTLE_SECONDS

CLIENTS = 500
SPEED, SECONDS = 10, 12
CHANNELS = (
    ("price:BTC", "trades:BTC", "funding:BTC"),
    ("price:ETH", "trades:ETH", "funding:ETH"),
    ("price:BTC", "trades:BTC", "trades:ETH"),
    ("price:ETH", "trades:ETH", "trades:BTC"),
)
_SUBJECTS = {"trades": "trade", "funding": "funding"}


@dataclass(frozen=True)
class Sends:
    """What one client was sent, on average."""

    count: float
    bytes: float


def run(stage: Stage) -> list[Row]:
    """Measure the gateway, then the floor with the same sends."""
    with (
        stage.nats() as nats,
        stage.gateway(nats.url) as server,
        client_pool(stage, server, CLIENTS, CHANNELS) as clients,
    ):
        time.sleep(SETTLE_SECONDS)
        server.process.wait_until_quiet()
        before = server.process.cpu
        with stage.publisher("recording", nats.url, str(SPEED), str(SECONDS)) as publisher:
            published = json.loads(publisher.finish())["subjects"]
        server.process.wait_until_quiet()
        cpu = server.process.cpu - before
        own = clients.report(server)["own"]
    witnesses = WITNESSES if stage.tools else CLIENTS
    sends = Sends(own["sends"] / witnesses, own["bytes"] / witnesses)
    name = "life"

    def row(figure: str, value: float, unit: str = "", limit: float | None = None) -> Row:
        return Row(name, figure, (value,), unit, limit)

    rows = [
        row("events published", sum(published.values()) / SECONDS, "/s"),
        row("sends per client", sends.count / SECONDS, "/s"),
        row("bytes per send", sends.bytes / sends.count),
        row("gateway, CPU per send", cpu / (sends.count * CLIENTS) * 1e6, "us"),
    ]
    if stage.tools is not None:
        floor = _floor(stage, sends)
        rows.append(row("floor, CPU per send", floor / (sends.count * CLIENTS) * 1e6, "us"))
        rows.append(row("gateway / floor", cpu / floor, "x", 1.5))
    return [
        *rows,
        row("latency of trades p99", own["p99_ms"], "ms", 50),
        row("lost", _expected(published, witnesses) - own["lossless"], "", 0),
        row("duplicated, out of order or after a break", own["faults"], "", 0),
    ]


def _expected(published: dict[str, int], clients: int) -> int:
    """Count the trades and fundings due to `clients` that share the lists of channels equally."""
    due = 0
    for each in CHANNELS:
        for channel in each:
            kind, _, slab = channel.partition(":")
            if kind in _SUBJECTS:
                due += published.get(f"percolator.{_SUBJECTS[kind]}.{slab}", 0)
    return due * clients // len(CHANNELS)


def _floor(stage: Stage, sends: Sends) -> float:
    """Seconds of CPU that the floor takes; its messages are all alike, so two batch sizes mix."""
    messages = sends.bytes / _floor_message(stage)
    whole, part = divmod(messages / sends.count, 1)
    batch = max(int(whole), 1)
    larger = round(sends.count * part)
    every_us = int(SECONDS / sends.count * 1e6)
    cpu = _floor_run(stage, round(sends.count) - larger, batch, every_us)
    return cpu + (_floor_run(stage, larger, batch + 1, every_us) if larger else 0.0)


def _floor_run(stage: Stage, rounds: int, batch: int, every_us: int) -> float:
    """One run of the floor: `rounds` sends to each client, of `batch` messages each."""
    with (
        stage.floor(CLIENTS, rounds * batch, batch, every_us) as server,
        client_pool(stage, server, CLIENTS, _one_kind(), witnesses=0),
    ):
        result = json.loads(server.process.finish())
        return float(result["us_per_delivery"] * result["deliveries"]) / 1e6


def _floor_message(stage: Stage) -> float:
    """Return the bytes of the floor's message, with its head, as the floor's client counts them."""
    with stage.floor(1, 100, 100, 1_000) as server:
        with client_pool(stage, server, 1, _one_kind(), witnesses=0) as clients:
            server.process.finish()
            seen = clients.report(server)["drains"][0]
        return float(seen["bytes"] / seen["messages"])


def _one_kind() -> Sequence[Sequence[str]]:
    return [["trades:SOL"]]
