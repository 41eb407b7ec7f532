"""Lines of a file or of standard input, as they come: also from a pipe that is slow."""

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
    """A line without its end, its number from 1 on, and how many bytes had been read with it."""

    number: int
    text: bytes
    read: int


def size_of(path: str) -> int | None:
    """Give how many bytes there are, where that is known. Raises PercolatorError."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise unreadable(path, error) from None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def lines_of(path: str) -> AsyncIterator[Line]:
    """Give the lines of a file; `-` is standard input. Raises PercolatorError."""
    number = read = 0
    rest = b""
    async for data in _pieces(path):
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise PercolatorError(
                f"line {number + len(whole) + 1} of {_named(path)} is longer than "
                f"{MAX_LINE_BYTES:,} bytes: it must be JSON lines, each an event"
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
        if _at_once(descriptor):
            while data := os.read(descriptor, READ_BYTES):
                yield data
                await asyncio.sleep(0)  # a disk is quick, and the sockets want their turn
        else:
            async for data in _from_pipe(descriptor):
                yield data
    except OSError as error:
        raise unreadable(path, error) from None


def _at_once(descriptor: int) -> bool:
    """Whether a read never waits: not so for pipes, sockets and terminals.

    All else, /dev/null too, is nothing that can be waited for.
    """
    mode = os.fstat(descriptor).st_mode
    return not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor))


async def _from_pipe(descriptor: int) -> AsyncIterator[bytes]:
    """Read a pipe or a terminal without a thread, which Ctrl-C could not end."""
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
            os.set_blocking(descriptor, blocking)  # a terminal is shared with the shell


def unreadable(path: str, error: OSError) -> PercolatorError:
    """Say that a file cannot be read."""
    reason = (error.strerror or str(error)).lower()
    return PercolatorError(f"{_named(path)} cannot be read: {reason}")


def _named(path: str) -> str:
    return "standard input" if path == STDIN else path
