"""Where what is rendered goes: a terminal as it is, or plain text for a pipe."""

import sys
from typing import Protocol

from rich.console import Console, RenderableType

PIPE_COLUMNS = 200
"""A pipe has no width; this much is enough for a line of ours not to be cut."""


def console(*, stderr: bool = False) -> Console:
    """Make a console: colours and the terminal's own width, or plain wide text for a pipe."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if terminal else PIPE_COLUMNS)


class Render(Protocol):
    """Gives what to print, for a width; without `drawn` there are no bars and the like."""

    def __call__(self, width: int, *, drawn: bool) -> RenderableType:
        """Render."""


def show(render: Render) -> None:
    """Print for the terminal, or for the pipe."""
    target = console()
    if target.is_terminal:
        target.print(render(target.width, drawn=True))
        return
    with target.capture() as capture:
        target.print(render(target.width, drawn=False))
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
