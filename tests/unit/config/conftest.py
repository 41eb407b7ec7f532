"""What the tests of the configuration share."""

from pathlib import Path

import pytest

from percolator.config.sources import load
from percolator.errors import SettingsError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a percolator.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(flags: dict[str, object] | None = None) -> str:
    """Return the sentence that settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        load(flags)
    return str(caught.value)
