"""The installed program as users run it: a process with its own environment."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from percolator_cli.commands import run

PROGRAM = Path(sys.executable).with_name("percolator")
PATIENCE = 60.0
READY = re.compile(
    r"percolator is ready: WebSocket (ws://\S+), dashboard (http://\S+)/, NATS (\S+)"
    r"(?: \(embedded, data in (.+)\))?\n"
)


@dataclass(frozen=True)
class Done:
    """The result of a run. `code` is as a shell shows it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The output, parsed as JSON."""
        return json.loads(self.out)


class Program:
    """Runs the program in the test's own folder, with no settings but the test's."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings = settings

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment: no colours, and no settings or folders but the test's."""
        own = {f"PERCOLATOR_{name.upper()}": str(value) for name, value in self.settings.items()}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        home = str(self.folder)
        return {**kept, "HOME": home, "TERM": "dumb", "TMPDIR": home, **own, **(extra or {})}

    def run(
        self, *args: str, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> Done:
        """Run to the end."""
        ended = subprocess.run(
            [PROGRAM, *args],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=self.environment(env),
            check=False,
        )
        return Done(_shell_code(ended.returncode), ended.stdout, ended.stderr)

    def shell(self, line: str) -> Done:
        """Run a shell command in which `$0` is the program."""
        ended = subprocess.run(
            ["sh", "-c", line, PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=self.environment(),
            check=False,
        )
        return Done(_shell_code(ended.returncode), ended.stdout, ended.stderr)

    def call(self, capsys: pytest.CaptureFixture[str], *args: str) -> Done:
        """Run to the end within this process, which is faster."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name, value in self.settings.items():
                patch.setenv(f"PERCOLATOR_{name.upper()}", str(value))
            patch.setattr(sys, "argv", ["percolator", *args])
            code = run()
        out, err = capsys.readouterr()
        return Done(code, out, err)

    @contextmanager
    def start(self, *args: str) -> Iterator["Running"]:
        """Run in the background, and kill it at the end if it is still running."""
        with subprocess.Popen(
            [PROGRAM, *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment(),
        ) as process:
            try:
                yield Running(process)
            finally:
                process.kill()

    @contextmanager
    def gateway(self, *args: str) -> Iterator["Serving"]:
        """Run a gateway on a free port and wait until it is ready. It must stop cleanly."""
        with self.start("serve", "--port", "0", "--drain-seconds", "1", *args) as running:
            serving = Serving.when_ready(running)
            yield serving
            if running.process.poll() is None:
                running.signal(signal.SIGTERM)
                done = running.end()
                assert done.code == 0, done


class Running:
    """A running process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def line(self) -> str:
        """Wait for the next line of its output."""
        assert self.process.stdout is not None
        found = bytearray()
        deadline = time.monotonic() + PATIENCE
        while not found.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            assert ready, f"no line in time, only {bytes(found)!r}"
            got = os.read(self.process.stdout.fileno(), 1)
            if not got:
                done = self.end()
                raise AssertionError(f"it ended with {done.code}: {done.err}")
            found += got
        return found.decode()

    def complaint(self, wanted: str) -> str:
        """Wait for a line on standard error that contains `wanted`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if wanted in line.decode():
                return line.decode()
        raise AssertionError(f"it ended without printing {wanted!r}")

    def end(self) -> Done:
        """Wait for its end; `out` is the output that was not read yet."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Done(_shell_code(self.process.returncode), out.decode(), err.decode())


@dataclass(frozen=True)
class Serving:
    """A gateway that is ready."""

    running: Running
    ws: str
    http: str
    nats: str
    data_dir: str | None

    @classmethod
    def when_ready(cls, running: Running) -> Self:
        """Read the line that says that the gateway is ready."""
        line = running.line()
        found = READY.fullmatch(line)
        assert found, line
        return cls(running, *found.groups())


def free_address() -> str:
    """Return an address at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def get(url: str) -> Any:  # noqa: ANN401 - any JSON
    """Fetch JSON."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own gateway
        return json.load(answer)


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code
