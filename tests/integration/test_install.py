"""The built wheel in an empty environment, with each available Python: it installs and serves.

Interpreters other than the one that runs the tests are found by their names on the PATH, or named
in TEST_PYTHONS, separated by colons.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.cli import program as module
from tests.cli.program import Program, get
from tests.nats_server import NatsServer

ROOT = Path(__file__).parents[2]
OFFLINE = re.compile("NewConnectionError|Temporary failure in name resolution|Could not fetch URL")
TRY_EMBEDDED = """
import asyncio, pathlib, sys
from percolator.jetstream.embedded import server as embedded

async def main():
    server = await embedded.start(pathlib.Path(sys.argv[1]), port=0)
    print(await embedded.answers(server.url))
    await server.stop()

asyncio.run(main())
"""


def interpreters() -> list[str]:
    """Return every available Python from 3.11 on, one per version."""
    named = [each for each in os.environ.get("TEST_PYTHONS", "").split(":") if each]
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(11, 15):
        if (path := shutil.which(f"python3.{minor}")) and _works(path):
            found.setdefault(f"3.{minor}", path)
    return [*found.values(), *named]


def _works(path: str) -> bool:
    """Whether the file runs a complete Python: a version manager's shim may have none behind it."""
    question = "import venv, ensurepip"
    done = subprocess.run([path, "-c", question], capture_output=True, check=False)
    return done.returncode == 0


def pins(folder: Path) -> Path:
    """Write the tested versions without their hashes: a wheel that was just built has no hash."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    file = folder / "pins.txt"
    file.write_text("\n".join(line.removesuffix(" \\") for line in lines if re.match(r"\w", line)))
    return file


def install(python: str, folder: Path) -> Path:
    """Build the wheel and install it into an empty environment; return the path of the program."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--constraint", str(pins(folder))]
    done = subprocess.run(
        [*pip, *options, str(wheel)], capture_output=True, text=True, check=False, cwd=folder
    )
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("pip cannot reach a package index")
    assert done.returncode == 0, done.stderr
    return folder / "venv" / "bin" / "percolator"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("python", interpreters())
def test_the_wheel_serves_from_an_empty_environment(
    python: str, tmp_path: Path, nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of the README: a gateway with a market, events, the stats, and a client."""
    installed = install(python, tmp_path)
    assert brings_its_own_nats(installed.with_name("python"), tmp_path)
    monkeypatch.setattr(module, "PROGRAM", installed)
    percolator = Program(tmp_path, nats_url=nats_process.url)
    with percolator.gateway("--demo") as gateway:
        percolator.settings["port"] = gateway.ws.rpartition(":")[2]
        for event in (
            ("price", "SOL", "1.5"),
            ("trade", "SOL", "long", "1000000", "1.5"),
            ("funding", "SOL", "0.0001"),
        ):
            done = percolator.run("publish", *event)
            assert (done.code, done.err) == (0, "")
        assert percolator.run("stats", "--json").json["totalConnections"] == 0
        assert asyncio.run(latest_price(gateway.ws)) == 1.5
        assert get(f"{gateway.http}/health")["status"] == "ok"
        assert "<!doctype html>" in fetch(f"{gateway.http}/").lower()


def brings_its_own_nats(python: Path, folder: Path) -> bool:
    """Whether the embedded nats-server starts with nothing of the environment on the PATH."""
    done = subprocess.run(
        [python, "-c", TRY_EMBEDDED, str(folder / "data")],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout == "True\n"


async def latest_price(url: str) -> float:
    """Subscribe to the price; return the first one."""
    async with connect(url) as client:
        await client.send('{"type":"subscribe","channels":["price:SOL"]}')
        async for text in client:
            if found := re.search(r'"price":([0-9.]+)', str(text)):
                return float(found[1])
    raise AssertionError("the gateway has closed the connection")


def fetch(url: str) -> str:
    """Fetch a page."""
    return subprocess.run(
        [sys.executable, "-c", f"import urllib.request as r; print(r.urlopen({url!r}).read())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
