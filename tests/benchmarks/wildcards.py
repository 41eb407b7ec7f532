"""Wildcards: prices of 2,000 markets to clients of `price:*`, against prices of one market.

Both have as many events per second, each of which is sent by itself, so what differs is only the
channel. The cost of a start with 2,000 snapshots has a row of its own.
"""

import json
import re
import time
import urllib.request

from tests.benchmarks.clients import client_pool
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage
from tests.benchmarks.storms import SETTLE_SECONDS
from tests.nats_server import LOOPBACK

CLIENTS, MARKETS = 500, 2_000
EVENTS, EVERY_MS = 400, 50


def run(stage: Stage) -> list[Row]:
    """Measure one market, and then all."""
    one, _ = _run(stage, 1, "price:M0")
    every, start = _run(stage, MARKETS, "price:*")
    return [
        Row("wildcard", "one market, CPU per delivery", (one * 1e6,), "us"),
        Row("wildcard", "2,000 markets, CPU per delivery", (every * 1e6,), "us"),
        Row("wildcard", "2,000 markets / one", (every / one,), "x", 1.3),
        Row("wildcard", "CPU per start with 2,000 snapshots", (start * 1e3,), "ms"),
    ]


def _run(stage: Stage, markets: int, channel: str) -> tuple[float, float]:
    """Return the seconds of CPU per delivery, and per start of a client."""
    with (
        stage.nats() as nats,
        stage.gateway(
            nats.url, price_interval="0", max_wildcard_connections="0", ping_interval="0"
        ) as server,
    ):
        _publish(stage, nats.url, markets, markets, 0)
        server.process.wait_until_quiet()
        idle = server.process.cpu
        with client_pool(stage, server, CLIENTS, [[channel]], witnesses=0):
            time.sleep(SETTLE_SECONDS)
            server.process.wait_until_quiet()
            before, sent = server.process.cpu, _sent(server)
            _publish(stage, nats.url, EVENTS, markets, EVERY_MS)
            server.process.wait_until_quiet()
            cpu = server.process.cpu - before
            deliveries = _sent(server) - sent
    if deliveries < CLIENTS * EVENTS / 2:
        raise RuntimeError(f"only {deliveries:,} prices were delivered")
    return cpu / deliveries, (before - idle) / CLIENTS


def _sent(server: Server) -> int:
    """Return how many messages the gateway has sent."""
    url = f"http://{LOOPBACK}:{server.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    (found,) = re.findall(r"^percolator_messages_sent_total (\S+)$", text, re.MULTILINE)
    return int(float(found))


def _publish(stage: Stage, url: str, events: int, markets: int, every_ms: int) -> None:
    with stage.publisher("prices", url, str(events), str(markets), str(every_ms)) as publisher:
        json.loads(publisher.finish())
