"""Sources: four layers of settings, and a sentence for what cannot be read."""

from pathlib import Path

import pytest

from percolator.config.settings import Settings
from percolator.config.sources import load
from tests.unit.config.conftest import refusal


def test_without_any_source_the_defaults_are_in_force() -> None:
    """A gateway needs no settings at all."""
    loaded = load()
    assert loaded.settings == Settings()
    assert (loaded.settings.host, loaded.settings.port) == ("127.0.0.1", 3001)
    assert set(loaded.origins.values()) == {"default"}


def test_the_first_layer_that_has_a_value_wins(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags, then the environment, then the file; the origin of each value is known."""
    toml = "port = 1\nbacklog = 1\nping_interval = 1.5\nmax_connections = 0\n"
    (empty_folder / "percolator.toml").write_text(toml)
    monkeypatch.setenv("PERCOLATOR_PORT", "2")
    monkeypatch.setenv("PERCOLATOR_BACKLOG", "2")
    loaded = load({"port": "3", "host": None})
    settings, origins = loaded.settings, loaded.origins
    assert (settings.port, settings.backlog, settings.ping_interval) == (3, 2, 1.5)
    assert settings.max_connections == 0
    assert (origins["port"], origins["backlog"]) == ("--port", "PERCOLATOR_BACKLOG")
    assert (origins["ping_interval"], origins["host"]) == ("percolator.toml", "default")


def test_an_unknown_setting_is_refused_with_the_nearest_name(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error must not leave a limit at its default."""
    (empty_folder / "percolator.toml").write_text("max_conections = 5\n")
    assert refusal() == (
        "percolator.toml: unknown setting 'max_conections'; did you mean max_connections?"
    )
    (empty_folder / "percolator.toml").unlink()
    monkeypatch.setenv("PERCOLATOR_MAX_CONECTIONS", "5")
    assert refusal() == (
        "environment: unknown setting PERCOLATOR_MAX_CONECTIONS; "
        "did you mean PERCOLATOR_MAX_CONNECTIONS?"
    )


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"[port]\nx = 1\n"])
def test_an_invalid_file_is_refused(content: bytes, empty_folder: Path) -> None:
    """No TOML, no UTF-8, or a table in place of a value."""
    (empty_folder / "percolator.toml").write_bytes(content)
    assert "percolator.toml" in refusal()


def test_a_folder_in_place_of_the_file_is_refused(empty_folder: Path) -> None:
    """It exists, but cannot be read."""
    (empty_folder / "percolator.toml").mkdir()
    assert refusal().startswith("percolator.toml is a folder")
