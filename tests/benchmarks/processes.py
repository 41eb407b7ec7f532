"""Cores, processes and what they cost; knows nothing about scenarios.

Servers run on one core, and everything that loads them (clients, publisher, nats-server) on
another, so that neither takes time from the other. The cost of a process is read from /proc.
"""

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parents[2]
QUIET_SHARE = 0.06
"""Share of a core below which a server has nothing left to send."""
QUIET_SECONDS = 0.5
QUIET_SPELLS = 2
"""Consecutive quiet periods that count as the end; a single one may be a pause in the load."""
LIMIT_SECONDS = 180.0


def cores() -> tuple[int, int]:
    """The core for servers and the one for the load; the same if there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


class Disturbance:
    """How much of the benchmark's cores other processes have used since this object was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    @property
    def share(self) -> float:
        """The average, in parts of one core."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(others, 0.0) / (time.monotonic() - self._started)


def _busy_seconds() -> float:
    """Seconds for which the benchmark's cores have not been idle since the machine started."""
    names = {f"cpu{core}" for core in cores()}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = 0
    for name, *fields in lines:
        if name in names:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Seconds of CPU of this process and of its children that have ended."""
    spent = 0.0
    for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(whose)
        spent += usage.ru_utime + usage.ru_stime
    return spent


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start processes on one core: a child inherits its parent's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A child process on a core of its own, killed at the end of the block."""

    def __init__(
        self, command: Sequence[str], core: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._core = core
        self._environment = dict(environment or {})
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with on_core(self._core):
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "PYTHONPATH": path, **self._environment},
            )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def child(self) -> subprocess.Popen[str]:
        """The process itself."""
        assert self._child is not None
        return self._child

    @property
    def lines(self) -> IO[str]:
        """What it prints."""
        assert self.child.stdout is not None
        return self.child.stdout

    def line(self) -> str:
        """Wait for the next line that it prints. Raises RuntimeError if it ends instead."""
        line = self.lines.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)} ended with {self.child.wait()}")
        return line.strip()

    def finish(self) -> str:
        """Close its input, which tells a client to stop; return the last line that it prints."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        lines = self.lines.read().splitlines()
        if self.child.wait() or not lines:
            raise RuntimeError("\n".join([f"{' '.join(self._command)} failed:", *lines]))
        return lines[-1]

    def kill(self) -> None:
        """Kill it at once."""
        self.child.kill()
        for stream in (self.child.stdin, self.child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.child.wait()

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, over all its threads."""
        return self._scheduled(0)

    @property
    def waiting(self) -> float:
        """Seconds for which its threads were ready to run, and something else had the core."""
        return self._scheduled(1)

    def _scheduled(self, field: int) -> float:
        """Add up a field of all threads' schedstat, in seconds."""
        tasks = Path(f"/proc/{self.child.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[field]) for task in tasks) / 1e9

    def memory(self, field: str = "VmRSS") -> int:
        """Its resident memory in bytes, or another field of its status: VmHWM is the peak."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Begin again to record its peak memory."""
        Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")

    def wait_until_quiet(self) -> None:
        """Wait until it has nothing left to do. Raises RuntimeError if that takes too long."""
        deadline = time.monotonic() + LIMIT_SECONDS
        spells = 0
        while time.monotonic() < deadline:
            before, started = self.cpu, time.monotonic()
            time.sleep(QUIET_SECONDS)
            quiet = self.cpu - before < QUIET_SHARE * (time.monotonic() - started)
            spells = spells + 1 if quiet else 0
            if spells == QUIET_SPELLS:
                return
        raise RuntimeError(f"{self._command[0]} is still busy after {LIMIT_SECONDS:.0f} s")
