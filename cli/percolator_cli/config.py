"""`percolator config`: the current settings and where each one comes from."""

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
    """Show the current settings and where each one comes from.

    Flags take precedence over environment variables (PERCOLATOR_ and the name in capitals), which
    take precedence over percolator.toml in the current folder. Secrets are hidden.
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
    """Return one row per setting, in the order of the table."""
    return [
        Row(name, _raw(name, getattr(loaded.settings, name)), loaded.origins[name], panel_of(name))
        for name in Settings.model_fields
    ]


def _raw(name: str, value: Any) -> Any:  # noqa: ANN401 - any setting's value
    """Return a value for JSON. Secrets are hidden, including those within an address."""
    if value is None:
        return None
    if name in SECRET:
        return HIDDEN
    if name == "nats_url":
        return redact_logins(value, mark=f"{HIDDEN}@")
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return str(value) if isinstance(value, Path) else value
