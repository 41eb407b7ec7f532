"""The sources of settings: flags, environment and TOML file, read in layers.

The first layer that has a value wins: flags, the environment (`PERCOLATOR_` and the name in
capitals), `percolator.toml` in the working directory, the default. Nothing else reads the
environment.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from percolator.config.settings import CONFLICT, SECRET, Settings
from percolator.config.types import EXPLAINED, rule_of
from percolator.errors import SettingsError
from percolator.redaction import redact_logins

ENV_PREFIX = "PERCOLATOR_"
TOML_FILE = Path("percolator.toml")
MAX_SHOWN_CHARS = 64
"""Characters of an invalid value that an error shows."""

_Layer = dict[str, tuple[Any, str]]
"""By setting name: the value, and where it came from."""


@dataclass(frozen=True)
class Loaded:
    """The settings in force, and the origin of each: a flag, a variable, the file or "default"."""

    settings: Settings
    origins: Mapping[str, str]


def load(flags: Mapping[str, Any] | None = None, toml_file: Path = TOML_FILE) -> Loaded:
    """Read all layers.

    `flags` holds the values from the command line by setting name; None means not given.
    Raises SettingsError, which names the setting, the origin of the value and what is allowed.
    """
    layers = [_toml_layer(toml_file), _env_layer(), _flag_layer(flags or {})]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    try:
        return Loaded(Settings(**values), origins)
    except ValidationError as error:
        raise SettingsError(_sentence(error, origins)) from None


def _flag_layer(flags: Mapping[str, Any]) -> _Layer:
    return {
        name: (value, f"--{name.replace('_', '-')}")
        for name, value in flags.items()
        if value is not None
    }


def _env_layer() -> _Layer:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for variable in os.environ:
        if variable.startswith(ENV_PREFIX) and variable not in known:
            raise SettingsError(
                f"environment: unknown setting {variable}{_suggestion(variable, known)}"
            )
    found = EnvSettingsSource(Settings, env_prefix=ENV_PREFIX)()
    return {name: (value, f"{ENV_PREFIX}{name.upper()}") for name, value in found.items()}


def _toml_layer(path: Path) -> _Layer:
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; it must be a file or not exist")
    try:
        found = TomlConfigSettingsSource(Settings, toml_file=path)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    for name in found:
        if name not in Settings.model_fields:
            suggestion = _suggestion(name, Settings.model_fields)
            raise SettingsError(f"{path}: unknown setting {name!r}{suggestion}")
    return {name: (value, str(path)) for name, value in found.items()}


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == CONFLICT:
        name = first["ctx"]["name"]
        return f"setting {name} (from {origins[name]}): {first['ctx']['text']}"
    name = str(first["loc"][0])
    if first["type"] == EXPLAINED:
        return f"setting {name} (from {origins[name]}): {first['ctx']['text']}"
    rule = rule_of(Settings.model_fields[name])
    return f"setting {name} (from {origins[name]}): it must be {rule}{_given(name, first['input'])}"


def _given(name: str, value: object) -> str:
    if name in SECRET:
        return ""
    text = redact_logins(str(value)) if name == "nats_url" else str(value)
    return f", not {text[:MAX_SHOWN_CHARS]!r}"
