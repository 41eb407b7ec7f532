"""Connections: what they cost to come, to stay and to come back all at once.

The clients are our own: only what the server spends is measured here.
"""

import time

from tests.benchmarks.crowd import expect_all, load
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage

HANDSHAKES = 2_000
HERD = 1_000
IDLE = 5_000
IDLE_SECONDS = 35.0
"""A whole round of heartbeats, and some."""
WARM_UP = 200
"""Connections before the first figure is taken: what is loaded once is nobody's cost."""


def handshakes(stage: Stage) -> list[Row]:
    """CPU for a connection, from accept to its subscription; and a thousand that come at once."""
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
        Row(name, "CPU each, subscribe included", (cpu / HANDSHAKES * 1e6,), "us", 600),
        Row(name, "one after the other, 32 under way", (HANDSHAKES / seconds,), "/s"),
        Row(name, f"{HERD:,} at once, until the last is subscribed", (herd_seconds,), "s", 3),
    ]


def idle(stage: Stage) -> list[Row]:
    """Memory and CPU of connections that are subscribed, and to which nothing happens."""
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
            still_there = server.get("/ws/stats")["totalConnections"]
    name = f"{IDLE:,} idle"
    return [
        Row(name, "memory a subscribed connection", (each,), "KB", 10),
        Row(name, "CPU, heartbeats included", (share,), "% of a core", 2),
        Row(name, "lost within a round of heartbeats", (IDLE - still_there,), "", 0),
    ]


def warm_up(stage: Stage, server: Server) -> None:
    """Let some clients come and go."""
    with load(stage, server, WARM_UP) as clients:
        expect_all(clients)
    wait_until_empty(server)


def wait_until_empty(server: Server) -> None:
    """Wait until the gateway counts nobody any more."""
    while server.get("/ws/stats")["totalConnections"]:
        time.sleep(0.05)
