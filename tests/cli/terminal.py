"""A program in a terminal: a pty of a given size, and the terminal's state afterwards."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.program import PATIENCE, PROGRAM, Program

ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A terminal with one program in it. `shown` is every byte that the program printed."""

    def __init__(self, master: int, process: subprocess.Popen[bytes], settings: object) -> None:
        self.shown = b""
        self.process = process
        self._master = master
        self._settings = settings

    def wait_for(self, pattern: bytes, *, after: int = 0) -> None:
        """Read until a pattern appears `after` a position in `shown`."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown[after:]):
            assert self._read(deadline - time.monotonic()), self.shown.decode(errors="replace")

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C, which the terminal turns into a signal."""
        os.write(self._master, b"\x03")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Read to the end and return the exit code as a shell shows it."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline - time.monotonic()):
            pass
        code = self.process.wait(PATIENCE)
        return code if code >= 0 else 128 - code

    def is_restored(self) -> bool:
        """True if the settings, the screen and the cursor are as before."""
        balanced = all(
            self.shown.rfind(on) < self.shown.rfind(off)
            for on, off in ((ALTERNATE_ON, ALTERNATE_OFF), (CURSOR_OFF, CURSOR_ON))
            if on in self.shown
        )
        return balanced and termios.tcgetattr(self._master) == self._settings

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            got = os.read(self._master, 65_536)
        except OSError:  # on Linux, if the other side is closed
            got = b""
        self.shown += got
        return bool(got)


@contextmanager
def terminal(program: Program, *args: str, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """Run the program in a terminal, and kill it at the end if it is still running."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    settings = termios.tcgetattr(master)
    process = subprocess.Popen(
        [PROGRAM, *args],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=program.folder,
        env=program.environment({"TERM": "xterm-256color"}),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
    )
    os.close(slave)
    try:
        yield Terminal(master, process, settings)
    finally:
        process.kill()
        process.wait()
        os.close(master)
