"""Lines of a file or of standard input, each as soon as it is there, even from a slow pipe."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

from percolator.errors import PercolatorError

READ_BYTES = 65_536
MAX_LINE_BYTES = 1_000_000
STDIN = "-"


class Line(NamedTuple):
    """A line without its newline, its number (from 1), and the bytes read up to its end."""

    number: int
    text: bytes
    read: int


def size_of(path: str) -> int | None:
    """Return the size in bytes, or None if it is not known. Raises PercolatorError."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise unreadable(path, error) from None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def lines_of(path: str) -> AsyncIterator[Line]:
    """Yield the lines of a file; `-` is standard input. Raises PercolatorError."""
    number = read = 0
    rest = b""
    async for data in _pieces(path):
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise PercolatorError(
                f"line {number + len(whole) + 1} of {_named(path)} is longer than "
                f"{MAX_LINE_BYTES:,} bytes: the file must have one JSON object per line"
            )
        for text in whole:
            number += 1
            read += len(text) + 1
            yield Line(number, text, read)
    if rest:
        yield Line(number + 1, rest, read + len(rest))


async def _pieces(path: str) -> AsyncIterator[bytes]:
    try:
        descriptor = sys.stdin.fileno() if path == STDIN else os.open(path, os.O_RDONLY)
        if _never_blocks(descriptor):
            while data := os.read(descriptor, READ_BYTES):
                yield data
                await asyncio.sleep(0)  # a disk is fast: let the sockets run too
        else:
            async for data in _from_pipe(descriptor):
                yield data
    except OSError as error:
        raise unreadable(path, error) from None


def _never_blocks(descriptor: int) -> bool:
    """True unless it is a pipe, a socket or a terminal.

    The event loop cannot wait for anything else, such as a file or /dev/null.
    """
    mode = os.fstat(descriptor).st_mode
    return not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor))


async def _from_pipe(descriptor: int) -> AsyncIterator[bytes]:
    """Read a pipe or a terminal without a thread, which Ctrl-C could not stop."""
    blocking = os.get_blocking(descriptor)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as pipe:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while data := await reader.read(READ_BYTES):
                yield data
        finally:
            transport.close()
            os.set_blocking(descriptor, blocking)  # the shell shares the terminal


def unreadable(path: str, error: OSError) -> PercolatorError:
    """Return an error that says that a file cannot be read, and why."""
    reason = (error.strerror or str(error)).lower()
    return PercolatorError(f"{_named(path)} cannot be read: {reason}")


def _named(path: str) -> str:
    return "standard input" if path == STDIN else path
