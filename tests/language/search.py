"""Finds the turns in the texts of the project."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.language.turns import TURNS

ROOT = Path(__file__).parents[2]
SUFFIXES = frozenset({".py", ".md", ".js", ".ts", ".yaml", ".toml"})
NAMES = frozenset({"Makefile", "Dockerfile"})
SKIPPED = frozenset({"artifacts", "build", "dist", "htmlcov", "__pycache__"})
OWN = Path(__file__).parent
"""This folder names the turns, and is not searched."""
TEST_NAME = re.compile(r"\bdef test_\w+")


class Finding(NamedTuple):
    """A turn in a text, the line that it begins on, and what to write instead."""

    line: int
    found: str
    instead: str


def search(text: str) -> list[Finding]:
    """Return the turns in a text, in order. The name of a test is read as a sentence."""
    text = TEST_NAME.sub(lambda name: name[0].replace("_", " "), text)
    findings = []
    for turn in TURNS:
        for match in turn.pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            findings.append(Finding(line, " ".join(match[0].split()), turn.instead))
    return sorted(findings)


def texts(root: Path) -> Iterator[Path]:
    """Yield the files that hold text, in order, without hidden folders and what was built."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in SKIPPED and Path(folder, name) != OWN
        )
        for name in sorted(files):
            path = Path(folder, name)
            if name in NAMES or path.suffix in SUFFIXES:
                yield path
