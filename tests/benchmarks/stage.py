"""The servers that are measured, each a process on the servers' core, and the NATS they read."""

import contextlib
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import Process, on_core
from tests.nats_server import LOOPBACK, NatsServer, ReservedPort

READY_SECONDS = 30.0
SETTINGS = {
    "max_connections": "0",
    "max_connections_per_slab": "0",
    "max_connections_per_ip": "0",
    "attempts_per_second": "0",
    "requests_per_second": "0",
    "messages_per_second": "0",
    "log_level": "error",
}
"""All limits off, since the load comes from one machine in one burst. The logs are not read."""


@dataclass(frozen=True)
class Stage:
    """The environment of a benchmark. `tools` holds the compiled drain and floor, if any."""

    server_core: int
    load_core: int
    folder: Path
    tools: Path | None
    gateway_command: tuple[str, ...]

    @contextlib.contextmanager
    def nats(self) -> Iterator[NatsServer]:
        """Run a nats-server with an empty store, on the load's core."""
        number = sum(1 for _ in self.folder.iterdir())
        with on_core(self.load_core):
            server = NatsServer(self.folder / f"nats-{number}")
            server.start()
        try:
            yield server
        finally:
            server.close()

    @contextlib.contextmanager
    def gateway(
        self, nats_url: str, *, tls: ssl.SSLContext | None = None, **settings: str
    ) -> Iterator["Server"]:
        """Run our gateway, limits off, ready to serve. `tls` trusts its certificate, if any."""
        with self._port() as port:
            values = SETTINGS | {"nats_url": nats_url, "port": str(port)} | settings
            environment = {f"PERCOLATOR_{name.upper()}": value for name, value in values.items()}
            with Process(self.gateway_command, self.server_core, environment) as process:
                server = Server(process, port, tls)
                server.wait_until_ready()
                yield server

    @contextlib.contextmanager
    def broadcast(self, nats_url: str) -> Iterator["Server"]:
        """Run the server with `websockets.broadcast()`."""
        with self._port() as port:
            command = [sys.executable, "-m", "tests.benchmarks.broadcast", nats_url, str(port)]
            with Process(command, self.server_core) as process:
                process.line()
                yield Server(process, port)

    @contextlib.contextmanager
    def floor(self, clients: int, events: int, batch: int, every_us: int) -> Iterator["Server"]:
        """Run the C program that only sends; it starts when all clients are connected."""
        assert self.tools is not None
        with self._port() as port:
            numbers = [str(number) for number in (port, clients, events, batch, every_us)]
            with Process([str(self.tools / "floor"), *numbers], self.server_core) as process:
                _wait_for(lambda: _listens(port))
                yield Server(process, port)

    def publisher(self, *arguments: str) -> Process:
        """Return the publisher, on the load's core; it publishes as soon as it starts."""
        command = [sys.executable, "-m", "tests.benchmarks.publisher", *arguments]
        return Process(command, self.load_core)

    @contextlib.contextmanager
    def _port(self) -> Iterator[int]:
        reserved = ReservedPort()
        try:
            yield reserved.number
        finally:
            reserved.release()


@dataclass(frozen=True)
class Server:
    """A running server. `tls` is how to connect to it, if it listens with TLS."""

    process: Process
    port: int
    tls: ssl.SSLContext | None = None

    def get(self, path: str) -> dict[str, Any]:
        """Request one of the JSON pages. Raises OSError."""
        url = f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10, context=self.tls) as answer:  # noqa: S310 - ours
            page: dict[str, Any] = json.load(answer)
            return page

    def wait_until_ready(self) -> None:
        """Wait until /health is good. Raises RuntimeError."""

        def healthy() -> bool:
            if self.process.child.poll() is not None:
                raise RuntimeError(f"the gateway ended:\n{self.process.lines.read()}")
            with contextlib.suppress(OSError, urllib.error.URLError):
                return bool(self.get("/health")["status"] == "ok")
            return False

        _wait_for(healthy)


def _listens(port: int) -> bool:
    """Whether a socket listens on the port; asks the kernel, as the floor counts connections."""
    entries = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(entry[1].endswith(f":{port:04X}") and entry[3] == "0A" for entry in entries)


def _wait_for(condition: Any) -> None:  # noqa: ANN401
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not start listening")
        time.sleep(0.02)


def compile_tools(source: Path, folder: Path) -> None:
    """Build drain and floor with cc. Raises RuntimeError if that fails."""
    for name in ("drain", "floor"):
        try:
            subprocess.run(
                ["cc", "-O2", "-o", str(folder / name), str(source / f"{name}.c")], check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"{source / name}.c cannot be compiled with cc: {error}") from None
