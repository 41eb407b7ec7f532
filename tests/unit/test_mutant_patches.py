"""The mutants: each patch still fits the code that it breaks."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import FOLDER, ROOT, apply

PATCHES = sorted(FOLDER.glob("*.patch"))


def test_there_are_mutants() -> None:
    assert PATCHES


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_mutant_still_applies_to_the_code(patch: Path) -> None:
    checked = apply(patch, ROOT, "--check")
    assert not checked.returncode, checked.stderr
