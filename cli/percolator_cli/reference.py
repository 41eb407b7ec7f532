"""Writes `docs/cli.md` out of the commands' own help: `python -m percolator_cli.reference`."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from percolator_cli.command import parameters
from percolator_cli.commands import COMMANDS, load, root

HEAD = """\
# The command line

<!-- Written by `python -m percolator_cli.reference docs/cli.md` out of the commands' own help. -->

`percolator COMMAND --help` says all of this too. Tables are drawn for a terminal and plain text for
a pipe; `--json` is for scripts. Errors go to standard error, one sentence each.

Commands find the gateway with `--url` (http, https, ws or wss, with or without a path) and NATS
with `--nats-url`. Without these they look where the settings `host`, `port` and `nats_url` say, in
the environment (`PERCOLATOR_PORT`) or in `percolator.toml` of the working directory, and else at
127.0.0.1:3001 and 127.0.0.1:4222.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage, or a setting that cannot be used |
| 3 | a threshold or a limit of `loadtest` did not hold |
| 130 | interrupted with Ctrl-C |
"""


def reference() -> str:
    """Give the whole page."""
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
