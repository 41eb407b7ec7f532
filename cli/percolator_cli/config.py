"""`percolator config`: the settings in force, and where each came from."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from percolator.config.settings import SECRET, Settings
from percolator.config.sources import Loaded, load
from percolator.redaction import redact_logins
from percolator_cli import output
from percolator_cli.command import examples, single
from percolator_cli.flags import Json, panel_of
from percolator_cli.render.config import Row, table

HIDDEN = "***"


def config(*, as_json: Json = False) -> None:
    """Show the settings in force, and where each came from.

    A setting comes from a flag of the command that runs, else from the environment (PERCOLATOR_
    and its name in capitals), else from percolator.toml in this folder, else it has its default.
    Secrets are not shown.
    """
    loaded = load({})
    if as_json:
        print(
            json.dumps({row.name: {"value": row.raw, "from": row.origin} for row in rows(loaded)})
        )
    else:
        output.show(partial(table, rows(loaded)))


command = single(
    config,
    examples("percolator config", "PERCOLATOR_PORT=8080 percolator config --json"),
)


def rows(loaded: Loaded) -> list[Row]:
    """Give a row for each setting, in their order."""
    return [
        Row(name, _raw(name, getattr(loaded.settings, name)), loaded.origins[name], panel_of(name))
        for name in Settings.model_fields
    ]


def _raw(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever a setting holds
    """Give a value as JSON has it; a secret is hidden, also where it is a part of an address."""
    if value is None:
        return None
    if name in SECRET:
        return HIDDEN
    if name == "nats_url":
        return redact_logins(value, mark=f"{HIDDEN}@")
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return str(value) if isinstance(value, Path) else value
