"""Under pressure: more events than can be delivered, and clients that have stopped reading."""

import contextlib
import json
import os
import signal
import sys
import time

from tests.benchmarks.clients import client_pool, expect_all, load
from tests.benchmarks.processes import Process
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Stage
from tests.benchmarks.storms import CHANNELS, SETTLE_SECONDS

OVERLOAD_CLIENTS = 1_000
OVERLOAD_EVENTS = 100_000
OVERLOAD_BATCH, OVERLOAD_EVERY_MS = 200, 10
WITNESSES = 100

OTHERS, STOPPED = 450, 50
STORM_EVENTS, STORM_BATCH, STORM_EVERY_MS = 5_000, 20, 20
MB = 1024 * 1024


def overload(stage: Stage) -> list[Row]:
    """20,000 trades per second for 5 s to 1,000 clients: each witness accounts for every trade."""
    numbers = (str(OVERLOAD_EVENTS), str(OVERLOAD_BATCH), str(OVERLOAD_EVERY_MS))
    with stage.nats() as nats, stage.gateway(nats.url) as server, contextlib.ExitStack() as stack:
        clients = stack.enter_context(
            client_pool(stage, server, OVERLOAD_CLIENTS, CHANNELS, witnesses=WITNESSES, sample=25)
        )
        command = [sys.executable, "-m", "tests.benchmarks.probe", str(server.port)]
        probe = stack.enter_context(Process(command, stage.load_core))
        probe.line()
        server.process.wait_until_quiet()
        memory = server.process.memory()
        with stage.publisher("storm", nats.url, *numbers) as publisher:
            published = json.loads(publisher.finish())
        pings = json.loads(probe.finish())
        server.process.wait_until_quiet()
        grown = server.process.memory("VmHWM") - memory
        connected = server.get("/ws/stats")["totalConnections"]
        seen = clients.report(server)
    own = seen["own"]
    got = own["events"] + sum(drain["messages"] for drain in seen["drains"])
    unaccounted = max(
        OVERLOAD_EVENTS - own["accounted_min"], own["accounted_max"] - OVERLOAD_EVENTS
    )
    name = "overload"

    def row(figure: str, value: float, unit: str = "", limit: float | None = None) -> Row:
        return Row(name, figure, (value,), unit, limit)

    return [
        row("offered", OVERLOAD_EVENTS / published["seconds"], "/s"),
        row("deliveries", got / published["seconds"], "/s"),
        row("delivered", got / OVERLOAD_EVENTS / OVERLOAD_CLIENTS * 100, "%"),
        row("unaccounted trades, worst client", unaccounted, "", 0),
        row("breaks in a chain", own["faults"], "", 0),
        row("clients lost", OVERLOAD_CLIENTS - connected, "", 0),
        row("ping to pong p99, at least the loop's lag", pings["p99_ms"], "ms", 100),
        row("pings unanswered", pings["unanswered"], "", 0),
        row("memory growth", grown / MB, "MB", OVERLOAD_CLIENTS * 65_536 / MB),
    ]


def stalled(stage: Stage) -> list[Row]:
    """Stop one client in ten during a storm: its effect on the others, and what it gets later."""
    without = _storm(stage, stop=False)
    with_stopped = _storm(stage, stop=True)
    name = "stopped clients"
    ratio = with_stopped["p99_ms"] / max(without["p99_ms"], 0.5)
    each = (with_stopped["memory"] - without["memory"]) / STOPPED / 1024
    return [
        Row(name, "latency p99 of the others, none stopped", (without["p99_ms"],), "ms"),
        Row(name, "latency p99 of the others, one in ten stopped", (with_stopped["p99_ms"],), "ms"),
        Row(name, "ratio of the two", (ratio,), "x", 1.5),
        Row(name, "more memory per stopped client", (each,), "KB", 64),
        Row(name, "lost by the others", (with_stopped["lost"],), "", 0),
        Row(name, "stopped clients not behind at the end", (with_stopped["not_behind"],), "", 0),
        Row(name, "gaps per stopped client on SIGCONT", (with_stopped["gaps"],), ""),
        Row(name, "breaks in their chains", (with_stopped["faults"],), "", 0),
        Row(
            name, "unaccounted trades, worst stopped client", (with_stopped["unaccounted"],), "", 0
        ),
    ]


def _storm(stage: Stage, *, stop: bool) -> dict[str, float]:
    """Measure one storm, with the sleepers stopped for its length or not."""
    numbers = (str(STORM_EVENTS), str(STORM_BATCH), str(STORM_EVERY_MS))
    with stage.nats() as nats, stage.gateway(nats.url) as server, contextlib.ExitStack() as stack:
        others = stack.enter_context(client_pool(stage, server, OTHERS, CHANNELS))
        sleepers = stack.enter_context(load(stage, server, STOPPED, "--sample", "1"))
        expect_all(sleepers)
        time.sleep(SETTLE_SECONDS)
        memory = server.process.memory()
        if stop:
            os.kill(sleepers.child.pid, signal.SIGSTOP)
        with stage.publisher("storm", nats.url, *numbers) as publisher:
            publisher.finish()
        behind = server.get("/ws/stats")["clientsBehind"]
        grown = server.process.memory() - memory
        if stop:
            os.kill(sleepers.child.pid, signal.SIGCONT)
        server.process.wait_until_quiet()
        slept = json.loads(sleepers.finish())
        seen = others.report(server)
    own = seen["own"]
    got = own["events"] + sum(drain["messages"] for drain in seen["drains"])
    return {
        "p99_ms": own["p99_ms"],
        "memory": grown,
        "lost": STORM_EVENTS * OTHERS - got + own["faults"],
        "not_behind": STOPPED - behind,
        "gaps": slept["gaps"] / STOPPED,
        "faults": slept["faults"],
        "unaccounted": max(
            STORM_EVENTS - slept["accounted_min"], slept["accounted_max"] - STORM_EVENTS
        ),
    }
