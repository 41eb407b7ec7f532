"""The browser client as an npm package, with node: from its folder and from its tarball."""

import asyncio
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import percolator
from tests.gateway import Gateway, eventually
from tests.npm import NAME, WEB, install, manifest, needs_node, pack, run

IMPORT = re.compile(r"\b(?:from|import) ?\(?\"(\.[^\"]+)\"")
PRINT_NAMES = f'import * as client from "{NAME}"; console.log(Object.keys(client).join());'
FOLLOW = f"""
import {{ connect }} from "{NAME}";
const feed = connect(process.argv[1]);
for await (const message of feed.subscribe("trades:SOL")) {{
  console.log(JSON.stringify(message));
  break;
}}
feed.close();
"""


def copied(project: Path) -> Path:
    """Copy the folder into a project's node_modules."""
    return shutil.copytree(WEB, project / "node_modules" / NAME)


def test_the_npm_package_has_the_version_of_the_project() -> None:
    """And its licence, and no dependencies."""
    assert manifest()["version"] == percolator.__version__
    assert (WEB / "LICENSE").read_text() == (WEB.parents[2] / "LICENSE").read_text()
    assert not {name for name in manifest() if "ependencies" in name or name == "scripts"}


@needs_node
@pytest.mark.parametrize("place", [copied, install])
def test_node_imports_the_client_by_the_name_of_the_package(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    """From a copy of the folder, and from the unpacked tarball."""
    place(tmp_path)
    printed = run("node", "--input-type=module", "-e", PRINT_NAMES, cwd=tmp_path)
    assert printed == "connect\n"


def test_the_tarball_has_every_file_that_its_modules_import(tmp_path: Path) -> None:
    """Types too; and it has no file of the dashboard."""
    package = install(tmp_path)
    files = [path for path in package.rglob("*") if path.suffix in (".js", ".ts")]
    imports = [(path, name) for path in files for name in IMPORT.findall(path.read_text())]
    assert {path.name for path, _ in imports} >= {"percolator.js", "channel.js"}
    for path, name in imports:
        target = (path.parent / name).resolve()
        assert target.is_file(), (path, name)
        assert target.is_relative_to(package), (path, name)
    with tarfile.open(pack(tmp_path)) as archive:
        names = [name for name in archive.getnames() if "dashboard" in name or "html" in name]
    assert names == []


def test_the_package_names_files_that_it_has(tmp_path: Path) -> None:
    """The module and its types, for both ways in which TypeScript looks for them."""
    package = install(tmp_path)
    entry = manifest()["exports"]["."]
    assert entry["types"] == manifest()["types"]
    assert (package / entry["types"]).is_file()
    assert (package / entry["default"]).is_file()


@needs_node
async def test_a_node_program_follows_a_gateway_with_the_package(
    gateway: Gateway, tmp_path: Path
) -> None:
    """It gets a trade, and ends when it closes its feed."""
    install(tmp_path)
    url = f"http://127.0.0.1:{gateway.port}"
    program = await asyncio.create_subprocess_exec(
        *("node", "--experimental-websocket", "--no-warnings", "--input-type=module"),
        *("-e", FOLLOW, url),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    logs = gateway.service.hub.book.logs
    try:
        await eventually(lambda: any(log.followers for log in logs.values()))
        seq = await gateway.publish("trade", "SOL", size="7")
        printed, errors = await asyncio.wait_for(program.communicate(), 20)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert errors == b""
    message = json.loads(printed)
    assert (message["type"], message["seq"], message["size"]) == ("trade", seq, "7")
