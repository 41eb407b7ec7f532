"""Fuzz one target or all of them: python -m tests.fuzz TARGET --seconds 3600.

Prints the number of examples and the memory use at the beginning and at the end. If an example
breaks a promise, the run ends with that example, shrunk as far as possible.
"""

import argparse
import logging
import resource
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.target import Target

EXAMPLES_PER_ROUND = 2_000
WARM_UP_ROUNDS = 2


def fuzz(name: str, target: Target, seconds: float) -> None:
    """Fuzz one target for a while."""
    tried, rounds, start, warm = 0, 0, time.monotonic(), 0

    @settings(
        max_examples=EXAMPLES_PER_ROUND,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(target.inputs)
    def run(example: object) -> None:
        nonlocal tried
        tried += 1
        target.check(example)

    while (elapsed := time.monotonic() - start) < seconds:
        run()
        rounds += 1
        if rounds == WARM_UP_ROUNDS:
            warm = memory()
    print(  # noqa: T201 - a command-line program
        f"{name}: {tried:,} examples in {elapsed:,.0f} s, nothing found; "
        f"memory {warm or memory():,} KB after {WARM_UP_ROUNDS} rounds, {memory():,} KB at the end"
    )


def memory() -> int:
    """The resident memory of this process, in KB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.read_text().partition("VmRSS:")[2].split()[0])


def main() -> None:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=[*TARGETS, "all"], default="all")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="seconds per target (default: 60)"
    )
    given_arguments = parser.parse_args()
    logging.getLogger("percolator").setLevel(logging.ERROR)
    for name, target in TARGETS.items():
        if given_arguments.target in (name, "all"):
            fuzz(name, target, given_arguments.seconds)


if __name__ == "__main__":
    main()
