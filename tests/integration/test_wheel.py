"""The wheel, built as a release would build it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import percolator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_version_of_the_package(wheel: Path) -> None:
    """The version is defined in one place."""
    assert wheel.name == f"percolator-{percolator.__version__}-py3-none-any.whl"


def test_the_wheel_installs_two_packages_and_nothing_else(contents: set[str]) -> None:
    """No top-level package `cli`, `nats` or `tests` is installed."""
    top_level = {name.split("/")[0] for name in contents}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {
        "percolator",
        "percolator_cli",
    }


def test_the_wheel_contains_every_file_of_both_packages(contents: set[str]) -> None:
    """Code, type marker, recorded market with its licence, pages for browsers, npm package."""
    for package in (ROOT / "percolator", ROOT / "cli" / "percolator_cli"):
        here = {
            path.relative_to(package.parent).as_posix()
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert here <= contents
    assert {
        "percolator/py.typed",
        "percolator_cli/py.typed",
        "percolator/data/tape.jsonl.gz",
        "percolator/data/README.md",
        "percolator/gateway/web/package.json",
    } <= contents


def test_the_wheel_installs_the_command_and_the_licence(wheel: Path) -> None:
    """`percolator` is on the PATH after an install."""
    info = f"percolator-{percolator.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
    assert "percolator = percolator_cli.app:app" in entry_points
    assert licence.startswith("MIT License")
