"""The pinned requirements: every package has a version and a hash, no URLs, and all files agree."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)( ; .*)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(file: str) -> dict[str, str]:
    """Return the version of each package that a file pins."""
    lines = (ROOT / file).read_text().splitlines()
    return {found["name"]: found["version"] for line in lines if (found := PIN.match(line))}


@pytest.mark.parametrize("file", FILES)
def test_each_line_is_a_pin_or_a_hash_or_a_comment(file: str) -> None:
    """No URL, no pip option and no open version is allowed."""
    lines = (ROOT / file).read_text().splitlines()
    odd = [
        line
        for line in lines
        if not (PIN.match(line) or HASH.match(line) or line.startswith("    #"))
    ]
    assert odd == []
    assert "://" not in "".join(lines)


@pytest.mark.parametrize("file", FILES)
def test_each_pin_has_a_hash(file: str) -> None:
    """The line after a pin is its first hash."""
    lines = (ROOT / file).read_text().splitlines()
    assert pins(file)
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if PIN.match(line):
            assert HASH.match(following), line


def test_the_development_pins_include_the_runtime_pins_unchanged() -> None:
    """The tests run with the versions that users install."""
    every = pins("requirements-dev.txt")
    for file in FILES:
        assert pins(file).items() <= every.items()


def test_each_dependency_of_the_package_is_pinned() -> None:
    """A dependency that is added to pyproject.toml must be locked too: `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=]", requirement, maxsplit=1)[0] for requirement in requirements}

    assert names(project["dependencies"]) <= pins("requirements.txt").keys()
    assert names(project["optional-dependencies"]["dev"]) <= pins("requirements-dev.txt").keys()
