"""The entry point: as little as possible before Ctrl-C is taken care of.

Python makes an exception of Ctrl-C wherever it is, and there are places, many of them in imports,
where exceptions are swallowed. So while a command is only being loaded, Ctrl-C ends the process
there and then; from where there is something to put in order, the command asks for the exception.
"""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def app() -> int:
    """Run the command line; give its exit code."""
    signal.signal(signal.SIGINT, _end)
    from percolator_cli.commands import run  # noqa: PLC0415 - from here on it may take its time

    code = run()
    sys.stdout.flush()
    signal.signal(signal.SIGINT, _end)
    return code


def interruptible() -> None:
    """Let Ctrl-C be an exception from here on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
