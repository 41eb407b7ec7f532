"""Connections: the cost to open them, to keep them and to reconnect all at once.

The clients are written in Python: only the server's costs are measured here.
"""

import time

from tests.benchmarks.clients import expect_all, load
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage

HANDSHAKES = 2_000
HERD = 1_000
IDLE = 5_000
IDLE_SECONDS = 35.0
"""Seconds of idling: more than one full round of heartbeats."""
WARM_UP = 200
"""Connections before the first measurement, so that one-time costs count for no scenario."""


def handshakes(stage: Stage) -> list[Row]:
    """CPU per connection, from accept to its subscription; then 1,000 connections at once."""
    with stage.nats() as nats, stage.gateway(nats.url) as server:
        warm_up(stage, server)
        before = server.process.cpu
        with load(stage, server, HANDSHAKES) as clients:
            seconds = expect_all(clients)
            cpu = server.process.cpu - before
        wait_until_empty(server)
        with load(stage, server, HERD, "--at-once") as clients:
            herd_seconds = expect_all(clients)
    name = "handshakes"
    return [
        Row(
            name, "CPU per connection, with its subscription", (cpu / HANDSHAKES * 1e6,), "us", 600
        ),
        Row(name, "connections, 32 at a time", (HANDSHAKES / seconds,), "/s"),
        Row(name, f"{HERD:,} at once, until the last is subscribed", (herd_seconds,), "s", 3),
    ]


def idle(stage: Stage) -> list[Row]:
    """Memory and CPU of subscribed connections without traffic."""
    with stage.nats() as nats, stage.gateway(nats.url) as server:
        warm_up(stage, server)
        server.process.wait_until_quiet()
        memory = server.process.memory()
        with load(stage, server, IDLE) as clients:
            expect_all(clients)
            server.process.wait_until_quiet()
            each = (server.process.memory() - memory) / IDLE / 1024
            before, started = server.process.cpu, time.monotonic()
            time.sleep(IDLE_SECONDS)
            share = (server.process.cpu - before) / (time.monotonic() - started) * 100
            connected = server.get("/ws/stats")["totalConnections"]
    name = f"{IDLE:,} idle"
    return [
        Row(name, "memory per subscribed connection", (each,), "KB", 10),
        Row(name, "CPU, heartbeats included", (share,), "% of a core", 2),
        Row(name, "lost within a round of heartbeats", (IDLE - connected,), "", 0),
    ]


def warm_up(stage: Stage, server: Server) -> None:
    """Open and close some clients."""
    with load(stage, server, WARM_UP) as clients:
        expect_all(clients)
    wait_until_empty(server)


def wait_until_empty(server: Server) -> None:
    """Wait until the gateway counts no client any more."""
    while server.get("/ws/stats")["totalConnections"]:
        time.sleep(0.05)
