"""The pinned requirements: nothing unpinned, nothing unhashed, no address, and all of one mind."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)( ; .*)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(file: str) -> dict[str, str]:
    """The version of each package that a file pins."""
    lines = (ROOT / file).read_text().splitlines()
    return {found["name"]: found["version"] for line in lines if (found := PIN.match(line))}


@pytest.mark.parametrize("file", FILES)
def test_each_line_is_a_pin_a_hash_or_a_comment(file: str) -> None:
    """No address, no option of pip and no open version is among them."""
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


def test_development_adds_to_the_runtime_and_changes_nothing() -> None:
    """What is tested is what is installed: the same versions everywhere."""
    every = pins("requirements-dev.txt")
    for file in FILES:
        assert pins(file).items() <= every.items()


def test_each_dependency_of_the_package_is_pinned_for_its_users() -> None:
    """A dependency that is added to pyproject.toml must be locked too: `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=]", one, maxsplit=1)[0] for one in requirements}

    assert names(project["dependencies"]) <= pins("requirements.txt").keys()
    assert names(project["optional-dependencies"]["dev"]) <= pins("requirements-dev.txt").keys()
