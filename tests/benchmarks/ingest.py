"""Ingest: events per second through feed, validation and hub, without any client."""

import json

from tests.benchmarks.results import Row
from tests.benchmarks.stage import Stage

EVENTS = 100_000
BATCH = 1_000


def run(stage: Stage) -> list[Row]:
    """Publish as fast as NATS accepts, and measure the gateway's cost."""
    return [*_run(stage, "ingest", "storm"), *_run(stage, "ingest with extras", "extras")]


def _run(stage: Stage, name: str, what: str) -> list[Row]:
    with stage.nats() as nats, stage.gateway(nats.url) as server:
        server.process.wait_until_quiet()
        before = server.process.cpu
        with stage.publisher(what, nats.url, str(EVENTS), str(BATCH), "0") as publisher:
            seconds = json.loads(publisher.finish())["seconds"]
        server.process.wait_until_quiet()
        cpu = server.process.cpu - before
        lag = server.get("/ws/stats")["nats"]["lag"]
    return [
        Row(name, "offered", (EVENTS / seconds,), "/s"),
        Row(name, "CPU per event", (cpu / EVENTS * 1e6,), "us"),
        Row(name, "events per core", (EVENTS / cpu,), "/s"),
        Row(name, "not read at the end", (lag,), "", 0),
    ]
