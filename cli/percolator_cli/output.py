"""Prints what `render` produces: as it is in a terminal, as plain text in a pipe."""

import sys
from typing import Protocol

from rich.console import Console, RenderableType

PIPE_COLUMNS = 200
"""The width used for a pipe, in columns: wide enough that no line is cut."""


def console(*, stderr: bool = False) -> Console:
    """Return a console: colours and the terminal's width, or plain wide text for a pipe.

    A text is never mark-up: only a style in our own code gives a colour.
    """
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if terminal else PIPE_COLUMNS,
    )


class Render(Protocol):
    """Returns what to print for a width; without `drawn` it has no bars or other graphics."""

    def __call__(self, width: int, *, drawn: bool) -> RenderableType:
        """Render."""


def show(render: Render) -> None:
    """Print to standard output, which is a terminal or a pipe."""
    target = console()
    if target.is_terminal:
        target.print(render(target.width, drawn=True))
        return
    with target.capture() as capture:
        target.print(render(target.width, drawn=False))
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
