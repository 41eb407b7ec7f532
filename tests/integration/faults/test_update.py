"""An update: the version before and this one serve one stream, and clients change over.

The version before is taken from the project's own history, and runs with today's libraries.
"""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from percolator.jetstream.stream import definition
from percolator.model.channel import SUBJECTS
from percolator.model.kinds import LIQUIDATION, MARKET
from tests.cli.program import Program, Running, Serving
from tests.gateway import running
from tests.integration.faults.scenario import STREAM
from tests.integration.faults.test_gateways import UNLIMITED, gateway_scenario

ROOT = Path(__file__).parents[3]
BEFORE = "20d42ca"
"""The last commit before kinds became a table: it wants the first three subjects, and no more."""
TURNS = 6


@pytest.fixture
def version_before(tmp_path: Path) -> Path:
    """The source of the version before; skipped without the history, as in a source archive."""
    archive = subprocess.run(
        ["git", "archive", "--format=zip", BEFORE, "percolator", "cli"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        pytest.skip(f"there is no history to take {BEFORE} from")
    folder = tmp_path / "before"
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder)
    return folder


@contextlib.contextmanager
def serving(source: Path, nats_url: str) -> Iterator[int]:
    """Run a gateway of another source, until it is ready; gives its port."""
    program = Program(source, nats_url=nats_url, stream=STREAM, port=0, **UNLIMITED)
    paths = os.pathsep.join([str(source), str(source / "cli")])
    start = "from percolator_cli.app import app; app()"
    with subprocess.Popen(
        [sys.executable, "-c", start, "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=source,
        env=program.environment({"PYTHONPATH": paths}),
    ) as process:
        try:
            yield int(Serving.when_ready(Running(process)).ws.rpartition(":")[2])
        finally:
            process.kill()


async def test_clients_change_between_the_version_before_and_this_one(
    tmp_path: Path, version_before: Path
) -> None:
    """To and fro on one stream, while events flow: nothing lost, nothing doubled, no gap."""
    older = [own for kind, own in SUBJECTS.items() if kind not in (LIQUIDATION, MARKET)]
    async with gateway_scenario(tmp_path, rate=150, wildcards=False) as scenario:
        await scenario.client.jetstream().update_stream(replace(definition(STREAM), subjects=older))
        with contextlib.ExitStack() as processes:
            before = await asyncio.to_thread(
                processes.enter_context, serving(version_before, scenario.nats_url)
            )
            async with running(scenario.nats_url, STREAM) as now:
                for turn in range(TURNS):
                    scenario.line.target = (before, now.port)[turn % 2]
                    scenario.line.cut()
                    await scenario.all_witnesses_caught_up()
                verdict = await scenario.verdict()
                scenario.line.close()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
    assert min(witness.connections for witness in scenario.witnesses) >= TURNS
