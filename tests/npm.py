"""The browser client as an npm package: its folder, and its tarball as `npm pack` makes it."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[1] / "percolator" / "gateway" / "web"
NAME = "percolator-client"
NODE = shutil.which("node")
TSC = shutil.which("tsc")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")
needs_typescript = pytest.mark.skipif(TSC is None, reason="needs tsc, from node-typescript")


def manifest() -> dict[str, Any]:
    """Return the content of package.json."""
    found: dict[str, Any] = json.loads((WEB / "package.json").read_text())
    return found


def pack(folder: Path) -> Path:
    """Make the tarball: what `files` names, and what npm always takes."""
    tarball = folder / f"{NAME}-{manifest()['version']}.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name in ("package.json", "LICENSE", *manifest()["files"]):
            archive.add(WEB / name, f"package/{name}")
    return tarball


def install(project: Path) -> Path:
    """Unpack the tarball into a project's node_modules, as `npm install` does; return where."""
    with tarfile.open(pack(project)) as archive:
        archive.extractall(project / "unpacked", filter="data")
    place = project / "node_modules" / NAME
    place.parent.mkdir()
    return (project / "unpacked" / "package").rename(place)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
