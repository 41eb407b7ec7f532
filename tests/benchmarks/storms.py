"""Storms and a trickle: one market's trades to many clients, by three servers side by side.

The figure is the server's CPU for one event to one client. The gateway's includes everything: its
NATS client, the feed, the validation. The floor's includes only the send.
"""

import json
import time
from dataclasses import dataclass

from tests.benchmarks.clients import client_pool
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage

CHANNELS = [["trades:SOL"]]
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Storm:
    """`events` trades to `clients`, `batch` at a time every `every_ms`, and the required limits."""

    name: str
    clients: int
    events: int
    batch: int
    every_ms: float
    floor_ratio: float
    broadcast_ratio: float | None = None
    """Limit for the gateway's CPU per delivery, relative to `broadcast()`."""
    p99_ms: float | None = None
    p99_ratio: float | None = None
    """Limit for the gateway's p99 latency, relative to `broadcast()`."""
    broadcast_events: int = 500
    """Fewer for the slowest server; its cost per delivery does not depend on their number."""


STORMS = (
    Storm("storm 500", 500, 5_000, 20, 20, 1.4, broadcast_ratio=1 / 12),
    Storm("storm 1000", 1_000, 5_000, 50, 50, 1.8, p99_ms=50, broadcast_events=300),
    Storm("trickle 500", 500, 1_000, 1, 5, 1.1, p99_ratio=1, broadcast_events=1_000),
)


@dataclass(frozen=True)
class Measured:
    """One server in one storm."""

    us_per_delivery: float
    p50_ms: float
    p99_ms: float
    lost: int
    deliveries_per_second: float


def run(stage: Stage, storm: Storm) -> list[Row]:
    """Measure all three servers, one after the other."""
    ours = gateway(stage, storm)
    floor = floor_of(stage, storm)
    theirs = broadcast(stage, storm)

    def row(figure: str, value: float, unit: str = "", limit: float | None = None) -> Row:
        return Row(storm.name, figure, (value,), unit, limit)

    rows = [row("gateway, CPU per delivery", ours.us_per_delivery, "us")]
    if floor is not None:
        ratio = ours.us_per_delivery / floor
        rows.append(row("floor, CPU per delivery", floor, "us"))
        rows.append(row("gateway / floor", ratio, "x", storm.floor_ratio))
    ratio = ours.us_per_delivery / theirs.us_per_delivery
    rows += [
        row("broadcast(), CPU per delivery", theirs.us_per_delivery, "us"),
        row("gateway / broadcast()", ratio, "x", storm.broadcast_ratio),
        row("gateway, deliveries", ours.deliveries_per_second, "/s"),
        row("gateway, latency p50", ours.p50_ms, "ms"),
        row("gateway, latency p99", ours.p99_ms, "ms", storm.p99_ms),
        row("broadcast(), latency p99", theirs.p99_ms, "ms"),
        row(
            "gateway / broadcast(), latency p99", ours.p99_ms / theirs.p99_ms, "x", storm.p99_ratio
        ),
        row("gateway, lost", ours.lost, "", 0),
    ]
    return rows


def gateway(stage: Stage, storm: Storm) -> Measured:
    """Measure our gateway in a storm."""
    with stage.nats() as nats, stage.gateway(nats.url) as server:
        return _measure(stage, storm, server, nats.url, storm.events)


def broadcast(stage: Stage, storm: Storm) -> Measured:
    """Measure the server with `broadcast()` in the same storm."""
    with stage.nats() as nats, stage.broadcast(nats.url) as server:
        return _measure(stage, storm, server, nats.url, storm.broadcast_events)


def floor_of(stage: Stage, storm: Storm) -> float | None:
    """Return the floor's CPU per delivery; None without the C tools."""
    if stage.tools is None:
        return None
    every_us = int(storm.every_ms * 1000)
    clients = storm.clients
    with (
        stage.floor(clients, storm.events, storm.batch, every_us) as server,
        client_pool(stage, server, clients, CHANNELS, witnesses=0),
    ):
        return float(json.loads(server.process.finish())["us_per_delivery"])


def _measure(stage: Stage, storm: Storm, server: Server, url: str, events: int) -> Measured:
    with client_pool(stage, server, storm.clients, CHANNELS) as clients:
        time.sleep(SETTLE_SECONDS)
        server.process.wait_until_quiet()
        before = server.process.cpu
        numbers = (str(events), str(storm.batch), str(storm.every_ms))
        with stage.publisher("storm", url, *numbers) as publisher:
            published = json.loads(publisher.finish())
        server.process.wait_until_quiet()
        cpu = server.process.cpu - before
        report = clients.report(server)
    deliveries = events * storm.clients
    own, drains = report["own"], report["drains"]
    if own["faults"]:
        raise RuntimeError(f"a client got events twice, out of order or after a break: {own}")
    return Measured(
        us_per_delivery=cpu / deliveries * 1e6,
        p50_ms=own["p50_ms"],
        p99_ms=own["p99_ms"],
        lost=deliveries - own["events"] - sum(drain["messages"] for drain in drains),
        deliveries_per_second=deliveries / max(published["seconds"], cpu),
    )
