"""The cost of an attack to honest clients: their latency without and under attack.

For each attack a NATS server, two gateways with default limits, 100 honest clients of the one that
is attacked and 25 of the other, on a market with 50 trades per second, and a client that connects
and resumes twice per second. First they are measured without the attack, then with it. The gateways
have one core, everything else has the other, the attackers at the lowest priority.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.flood.attacker import ATTACKS
from tests.benchmarks.flood.run import Outcome, run
from tests.benchmarks.processes import cores
from tests.benchmarks.results import number
from tests.benchmarks.stage import Stage

COLUMNS = (
    "attack",
    "p99 quiet, ms",
    "attacked",
    "ratio",
    "control, ms",
    "its ratio",
    "net",
    "lost",
    "refused visits",
    "CPU quiet, %",
    "attacked",
    "waiting, %",
    "peak quiet, MB",
    "attacked",
)


def main() -> None:
    """Run the selected attacks; print the table. The exit code is 1 if a promise is broken."""
    options = _options()
    if options.list:
        for attack in ATTACKS.values():
            print(f"{attack.name:18} {attack.text}")
        return
    if sys.platform != "linux":
        sys.exit("This benchmark reads /proc and pins processes to cores: it needs Linux.")
    server_core, load_core = cores()
    os.sched_setaffinity(0, {load_core})
    outcomes, failed = [], False
    with tempfile.TemporaryDirectory(prefix="percolator-flood-") as folder:
        stage = Stage(server_core, load_core, Path(folder), None, tuple(options.gateway))
        for name in options.attack or ATTACKS:
            print(f"{name} ...", file=sys.stderr)
            try:
                outcomes.append(run(stage, ATTACKS[name], options.seconds))
            except (RuntimeError, OSError) as error:
                print(f"{name} could not be measured: {error}", file=sys.stderr)
                failed = True
            else:
                print(f"{name}: {outcomes[-1].counts}", file=sys.stderr)
    print(_table(outcomes, options.bound))
    sys.exit(failed or not all(each.holds(options.bound) for each in outcomes))


def _table(outcomes: Sequence[Outcome], bound: float) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join((*COLUMNS, ''))} |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|---|"]
    for outcome in outcomes:
        quiet, attacked = outcome.quiet, outcome.attacked
        cells = (
            outcome.attack.name,
            number(quiet.p99_ms),
            number(attacked.p99_ms),
            f"{outcome.ratio:.2f}",
            number(attacked.control_p99_ms),
            f"{outcome.control_ratio:.2f}",
            f"{outcome.net_ratio:.2f}",
            f"{attacked.lost + quiet.lost:,}",
            f"{attacked.refused} of {attacked.visits}",
            f"{quiet.cpu_percent:.0f}",
            f"{attacked.cpu_percent:.0f}",
            f"{attacked.waiting_percent:.0f}",
            f"{quiet.peak_mb:.0f}",
            f"{attacked.peak_mb:.0f}",
            "met" if outcome.holds(bound) else "MISSED",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flood", description=__doc__)
    parser.add_argument(
        "--attack",
        action="append",
        choices=ATTACKS,
        metavar="NAME",
        help="attack to run, may be repeated (default: all of them)",
    )
    parser.add_argument("--list", action="store_true", help="list the attacks and stop")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="seconds per phase, of two (default: 20)"
    )
    parser.add_argument(
        "--bound",
        type=float,
        default=1.5,
        help="how many times as late trades may be under attack (default: 1.5)",
    )
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
