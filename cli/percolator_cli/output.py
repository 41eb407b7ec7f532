"""Where what is rendered goes: a console for a terminal, and one for a pipe."""

import sys

from rich.console import Console

PIPE_COLUMNS = 200
"""A pipe has no width; this much is enough for a line of ours not to be cut."""


def console(*, stderr: bool = False) -> Console:
    """Make a console: colours and the terminal's own width, or plain wide text for a pipe."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if terminal else PIPE_COLUMNS)
