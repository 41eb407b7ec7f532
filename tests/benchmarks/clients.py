"""The client pool: all clients of a scenario, of both kinds, and what they received.

With the C tools, most clients are theirs, since they cost least; a few are witnesses in Python,
which read every message. Without the tools all are in Python, and every 16th reads.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.processes import Process
from tests.benchmarks.stage import Server, Stage

WITNESSES = 32
ALONE_SAMPLE = 16
DRAIN_SECONDS = "170"
"""Longer than any scenario: a drain ends when the server does."""

Channels = Sequence[Sequence[str]]


@dataclass(frozen=True)
class ClientPool:
    """Clients that are all subscribed."""

    own: Process | None
    drains: tuple[Process, ...]

    def report(self, server: Server) -> dict[str, Any]:
        """End the server; return its clients' reports: `own` in Python and `drains` in C."""
        own = json.loads(self.own.finish()) if self.own else None
        server.process.kill()
        return {"own": own, "drains": [json.loads(drain.finish()) for drain in self.drains]}


@contextlib.contextmanager
def client_pool(
    stage: Stage,
    server: Server,
    clients: int,
    channels: Channels,
    *,
    witnesses: int = WITNESSES,
    sample: int = 1,
) -> Iterator[ClientPool]:
    """Connect and subscribe `clients`; each list of channels gets an equal share of them.

    All witnesses count and keep a ledger; every `sample`-th reads each message.
    """
    with contextlib.ExitStack() as stack:
        own = None
        if stage.tools is None:
            witnesses, sample = clients, max(sample, ALONE_SAMPLE)
        if witnesses:
            options = ("--channels", json.dumps(channels), "--sample", str(sample))
            own = stack.enter_context(load(stage, server, witnesses, *options))
            expect_all(own)
        drains = []
        if stage.tools is not None:
            for index, each in enumerate(channels):
                rest = clients - witnesses
                share = rest // len(channels) + (index < rest % len(channels))
                command = [str(stage.tools / "drain"), str(server.port), str(share)]
                command += [DRAIN_SECONDS, json.dumps(each)]
                drains.append(stack.enter_context(Process(command, stage.load_core)))
        for drain in drains:
            if not (line := drain.line()).endswith("refused 0"):
                raise RuntimeError(f"a server refused some clients: {line}")
        yield ClientPool(own, tuple(drains))


def load(stage: Stage, server: Server, clients: int, *options: str) -> Process:
    """Return the load client in Python; the process starts with the `with` block."""
    command = [sys.executable, "-m", "tests.benchmarks.load", str(server.port), str(clients)]
    return Process([*command, *options], stage.load_core)


def expect_all(process: Process) -> float:
    """Wait until all clients of a load process are subscribed; return the seconds that it took."""
    opened = json.loads(process.line())
    if opened["refused"]:
        raise RuntimeError(f"a server refused some clients: {opened}")
    return float(opened["seconds"])
