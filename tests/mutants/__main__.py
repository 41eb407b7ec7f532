"""Breaks the fan-out in known ways; its unit tests must notice each: `python -m tests.mutants`.

A mutant is a patch in this folder, whose first line says what it breaks. Each is applied to a copy
of the tree, and the tests of the fan-out run there. Exits with 1 if a mutant survives or does not
apply: then a test is missing, or the patch is out of date.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
TESTS = "tests/unit/fanout"
OPTIONS = ("--timeout=120", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "artifacts", "data", "*.pyc")
PAGE_WIDTH = 200
"""Characters of a line, if the table does not go to a terminal."""
LIMIT_SECONDS = 600
"""Seconds after which a run is given up; that notices nothing."""


class Verdict(NamedTuple):
    """What came of a mutant: what it breaks, the test that noticed it, seconds, and success."""

    breaks: str
    noticed_by: str
    seconds: float
    killed: bool


def judge(patch: Path) -> Verdict:
    """Apply a patch to a copy of the tree, and run the tests of the fan-out there."""
    breaks = patch.read_text().partition("\n")[0]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="percolator-mutant-") as folder:
        tree = copy(Path(folder))
        applied = apply(patch, tree)
        if applied.returncode:
            return Verdict(breaks, f"does not apply: {applied.stderr.strip()}", 0.0, killed=False)
        try:
            failure = first_failure(tree)
        except RuntimeError as error:
            return Verdict(breaks, str(error), time.monotonic() - started, killed=False)
    seconds = time.monotonic() - started
    return Verdict(breaks, failure or "SURVIVED", seconds, killed=bool(failure))


def apply(patch: Path, tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Apply a patch to a tree, whether or not a folder above it is a repository."""
    return subprocess.run(
        ["git", "apply", *options, str(patch)],
        cwd=tree,
        # Inside a repository, git would take the paths from the top of that one.
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def copy(folder: Path) -> Path:
    """Copy what the tests of the fan-out need, and return the copy."""
    for name in ("percolator", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_BEHIND)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def first_failure(tree: Path) -> str:
    """Return the first test that fails in a tree; "" if all pass.

    Raises RuntimeError if the run ends in any other way: then no test has noticed anything.
    """
    # The folder in which `python -m` runs comes first on its path, before what is installed. No
    # byte code: a stale file of the tree that was copied could hide the mutant.
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", *OPTIONS, TESTS]
    try:
        run = subprocess.run(
            command, cwd=tree, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no end within {LIMIT_SECONDS} s") from None
    if not run.returncode:
        return ""
    failed = [line for line in run.stdout.splitlines() if line.startswith("FAILED tests/")]
    if run.returncode != 1 or not failed:
        raise RuntimeError(f"pytest ended with code {run.returncode}, and no test failed")
    return failed[0].partition(" ")[2].partition(" - ")[0].rpartition("/")[2]


def verdicts() -> Iterator[tuple[str, Verdict]]:
    """Judge each mutant in turn. Raises RuntimeError if the tests fail without one."""
    with tempfile.TemporaryDirectory(prefix="percolator-mutant-") as folder:
        if failure := first_failure(copy(Path(folder))):
            raise RuntimeError(f"{failure} fails without a mutant: no verdict means anything")
    for patch in sorted(FOLDER.glob("*.patch")):
        yield patch.stem, judge(patch)


def main() -> int:
    """Judge all mutants, print the table, and return the exit code."""
    console = Console()
    if not console.is_terminal:
        console.width = PAGE_WIDTH
    table = Table("mutant", "what it breaks", "killed by", "seconds", box=None)
    table.columns[2].overflow = "fold"
    survived = 0
    try:
        for name, verdict in verdicts():
            survived += not verdict.killed
            table.add_row(name, verdict.breaks, verdict.noticed_by, f"{verdict.seconds:.1f}")
    except RuntimeError as error:
        sys.exit(str(error))
    console.print(table)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
