"""This process: its Ctrl-C, its standard streams, and the one line on which an error is printed."""

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import TextIO

from percolator.printable import printable

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def end_on_interrupt() -> None:
    """Make Ctrl-C end the process immediately, with INTERRUPTED."""
    signal.signal(signal.SIGINT, _end)


def interruptible() -> None:
    """Make Ctrl-C raise KeyboardInterrupt from now on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def print_error(sentence: str) -> None:
    """Print a sentence on standard error. If it is closed, only the exit code remains.

    A sentence may quote anything: it is made fit to show here.
    """
    try:
        print(f"percolator: {printable(sentence)}", file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def discard_output(stream: TextIO) -> None:
    """Discard everything still buffered in a stream: writing it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_streams() -> None:
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
