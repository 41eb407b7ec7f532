"""Generates `docs/cli.md` from the commands' help: `python -m percolator_cli.reference`."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from percolator_cli.command import parameters
from percolator_cli.commands import COMMANDS, load, root

HEAD = """\
# Command line

<!-- Generated from the commands' help by `python -m percolator_cli.reference docs/cli.md`. -->

`percolator COMMAND --help` prints the same text. Output is formatted for a terminal and plain text
in a pipe; use `--json` in scripts. Each error is one sentence on standard error.

Use `--url` to choose the gateway (http, https, ws or wss, with or without a path) and `--nats-url`
to choose NATS. Their defaults are the settings `host`, `port` and `nats_url` from the environment
(for example `PERCOLATOR_PORT`) or from `percolator.toml` in the current folder. If these are not
set either, the defaults are 127.0.0.1:3001 and 127.0.0.1:4222.

| exit code | meaning |
|---|---|
| 0 | success |
| 1 | failure |
| 2 | wrong usage, or an invalid setting |
| 3 | `loadtest`: a threshold was exceeded, or a limit did not hold |
| 130 | interrupted with Ctrl-C |
"""


def reference() -> str:
    """Return the whole page."""
    context = root().make_context("percolator", ["serve"], resilient_parsing=True)
    parts = [HEAD]
    for name in COMMANDS:
        parts += _command(load(name), f"percolator {name}", context, level=2)
    return "\n".join(parts)


def _command(command: Any, path: str, parent: Any, level: int) -> Iterator[str]:  # noqa: ANN401 - Typer has no public names
    context = type(parent)(command, info_name=path.rpartition(" ")[2], parent=parent)
    yield f"{'#' * level} {path}\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from _command(inner, f"{path} {name}", context, level + 1)
        return
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"    {path} {pieces}\n"
    yield from _tables(command, context)
    _, _, examples = (command.epilog or "").partition("\n")
    yield "Examples:\n"
    yield "\n".join(f"  {line}" for line in examples.splitlines()) + "\n"


def _tables(command: Any, context: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    headings: dict[str, list[str]] = {"Arguments": [], "Options": []}
    for heading, name, meaning in parameters(command, context):
        if "--help" not in name:
            shown, said = (part.replace("|", "\\|") for part in (name, " ".join(meaning.split())))
            row = f"| `{shown}` | {said} |"
            headings.setdefault(heading, []).append(row)
    for heading, rows in headings.items():
        if rows:
            yield "\n".join([f"| {heading.lower()} | |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
