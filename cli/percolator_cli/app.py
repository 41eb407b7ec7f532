"""The entry point: it imports as little as possible before Ctrl-C is handled.

Python raises KeyboardInterrupt wherever it happens to be, and some code, much of it in imports,
swallows exceptions. So Ctrl-C ends the process immediately while a command is being loaded. A
command that has something to clean up asks for the exception with `interruptible`.
"""

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import TextIO

INTERRUPTED = 130


def app() -> int:
    """Run the command line and return its exit code."""
    signal.signal(signal.SIGINT, _end)
    _open_streams()
    from percolator_cli.commands import run  # noqa: PLC0415 - slow; Ctrl-C is handled now

    code = run()
    sys.stdout.flush()
    signal.signal(signal.SIGINT, _end)
    return code


def interruptible() -> None:
    """Make Ctrl-C raise KeyboardInterrupt from now on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def print_error(sentence: str) -> None:
    """Print a sentence on standard error. If it is closed, only the exit code remains."""
    try:
        print(f"percolator: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def discard_output(stream: TextIO) -> None:
    """Discard everything still buffered in a stream: writing it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_streams() -> None:
    """Open any standard stream that is closed, and make standard output accept every character.

    Python represents a closed stream (`>&-`) as None, and the next socket would get its file
    descriptor. Characters that the output's encoding does not have are written as `?`.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor: this one
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
