"""The entry point: as little as possible before Ctrl-C is taken care of.

Python makes an exception of Ctrl-C wherever it is, and there are places, many of them in imports,
where exceptions are swallowed. So while a command is only being loaded, Ctrl-C ends the process
there and then; from where there is something to put in order, the command asks for the exception.
"""

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import TextIO

INTERRUPTED = 130


def app() -> int:
    """Run the command line; give its exit code."""
    signal.signal(signal.SIGINT, _end)
    _open_streams()
    from percolator_cli.commands import run  # noqa: PLC0415 - from here on it may take its time

    code = run()
    sys.stdout.flush()
    signal.signal(signal.SIGINT, _end)
    return code


def interruptible() -> None:
    """Let Ctrl-C be an exception from here on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def complain(sentence: str) -> None:
    """Say a sentence on standard error; where nobody reads it, the exit code must do."""
    try:
        print(f"percolator: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        say_no_more(sys.stderr)


def say_no_more(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_streams() -> None:
    """Have all three standard streams, and an output that takes every character.

    A stream that was closed (`>&-`) is None to Python, and its number would go to the next socket.
    What the encoding of a terminal or a pipe does not have is written as `?`.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
