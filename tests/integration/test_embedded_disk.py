"""The embedded nats-server on disks that cannot be written, each a real file system of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import asyncio, pathlib, sys
from percolator.errors import EmbeddedNatsError
from percolator.jetstream.embedded import server as embedded

try:
    asyncio.run(embedded.start(pathlib.Path(sys.argv[1]), port=0))
except EmbeddedNatsError as error:
    print(error)
"""
FULL = "the disk of the data folder {} is full ({} MiB free, 32 MiB needed): free some space, or "


def mounts() -> bool:
    """Whether a process here may mount a file system in its own namespace."""
    unshare = shutil.which("unshare")
    trial = [str(unshare), "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        unshare is not None
        and not subprocess.run(trial, capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not mounts(), reason="cannot mount file systems here")
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("size=64m,ro", "the data folder {} cannot be used (Read-only file system): "),
        ("size=2m", FULL.format("{}", 2)),
        ("size=64m,nr_inodes=1", FULL.format("{}", 0)),
    ],
    ids=["read-only", "full", "without inodes"],
)
def test_an_error_names_the_disk_that_cannot_be_written(
    tmp_path: Path, options: str, fault: str
) -> None:
    """On real file systems, which only the tested process sees."""
    mounted = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    program = [sys.executable, "-c", START, str(tmp_path)]
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, str(tmp_path), *program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    expected = fault.format(tmp_path) + "choose another with --data-dir"
    assert (result.stdout.strip(), result.stderr) == (expected, "")
