"""A gateway under cProfile in a storm: `python -m tests.benchmarks.profiling`.

Prints the calls that took most of the gateway's own time. The whole profile stays in PROFILE, for
pstats.
"""

import pstats
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.crowd import crowd
from tests.benchmarks.processes import ROOT, cores
from tests.benchmarks.stage import Stage
from tests.benchmarks.storms import CHANNELS, STORMS, Storm

PROFILE = ROOT / "tests" / "artifacts" / "gateway.prof"
ROWS = 25
END_SECONDS = 60
"""Seconds that the gateway has to close its clients and write the profile."""


def record(stage: Stage, storm: Storm) -> None:
    """Run the storm against a gateway, and end the gateway, which then writes its profile."""
    with (
        stage.nats() as nats,
        stage.gateway(nats.url) as server,
        crowd(stage, server, storm.clients, CHANNELS),
    ):
        numbers = (str(storm.events), str(storm.batch), str(storm.every_ms))
        with stage.publisher("storm", nats.url, *numbers) as publisher:
            publisher.finish()
        server.process.wait_until_quiet()
        server.process.child.terminate()
        server.process.child.wait(END_SECONDS)


def main() -> None:
    """Record a profile and print its first rows."""
    if sys.platform != "linux":
        sys.exit("The storm reads /proc and pins processes to cores: it needs Linux.")
    PROFILE.parent.mkdir(exist_ok=True)
    program = Path(sys.executable).with_name("percolator")
    command = (sys.executable, "-m", "cProfile", "-o", str(PROFILE), str(program), "serve")
    with tempfile.TemporaryDirectory(prefix="percolator-profile-") as folder:
        stage = Stage(*cores(), Path(folder), None, command)
        try:
            record(stage, STORMS[0])
        except (RuntimeError, OSError) as error:
            sys.exit(f"The profile cannot be made: {error}")
    pstats.Stats(str(PROFILE)).sort_stats("tottime").print_stats(ROWS)


if __name__ == "__main__":
    main()
