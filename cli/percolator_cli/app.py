"""The entry point: it imports as little as possible before Ctrl-C is handled.

Python raises KeyboardInterrupt wherever it happens to be, and some code, much of it in imports,
swallows exceptions. So Ctrl-C ends the process immediately while a command is being loaded. A
command that has something to clean up asks for the exception with `interruptible`.
"""

import sys

from percolator_cli.process import end_on_interrupt, open_streams


def app() -> int:
    """Run the command line and return its exit code."""
    end_on_interrupt()
    open_streams()
    from percolator_cli.commands import run  # noqa: PLC0415 - slow; Ctrl-C is handled now

    code = run()
    sys.stdout.flush()
    end_on_interrupt()
    return code
