"""The embedded nats-server lives exactly as long as the gateway, however the gateway ends.

These are real processes: a small program that starts the server stands for the gateway.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nats_server import greeting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by pidfd")

PATIENCE = 30.0
"""Seconds until a test stops waiting and fails; far more than anything here takes."""

GATEWAY = """
import asyncio, pathlib, signal, sys
from percolator.errors import EmbeddedNatsError
from percolator.jetstream.embedded import server as embedded

async def main():
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    try:
        server = await embedded.start(pathlib.Path(sys.argv[1]), port=int(sys.argv[2]))
    except EmbeddedNatsError as error:
        return print("error", error, flush=True)
    print(server.url, server.pid, server._watchdog.pid, flush=True)
    {then}

asyncio.run(main())
"""
WAIT_FOREVER = "await asyncio.Event().wait()"


class Gateway:
    """A process that has started an embedded server, and what it prints about it."""

    def __init__(self, data_dir: Path, *, port: int = 0, then: str = WAIT_FOREVER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", GATEWAY.format(then=then), str(data_dir), str(port)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        words = self.line().split()
        self.url, self.server, self.watchdog = words[0], int(words[1]), int(words[2])

    @property
    def port(self) -> int:
        """The server's port."""
        return int(self.url.rpartition(":")[2])

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill it, so that nothing in it can react."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Clean up, whatever the test did."""
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Make gateways on one data folder."""
    made: list[Gateway] = []

    def make(**options: object) -> Gateway:
        made.append(Gateway(tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for started in made:
        started.close()


def watch(pid: int) -> Callable[[], bool]:
    """Return a function that waits for a process to end, and reports whether it did."""
    descriptor = os.pidfd_open(pid)

    def ends() -> bool:
        try:
            return bool(select.select([descriptor], [], [], PATIENCE)[0])
        finally:
            os.close(descriptor)

    return ends


@pytest.mark.parametrize("frozen", [False, True])
def test_kill_9_of_the_gateway_ends_the_server(
    gateway: Callable[..., Gateway], *, frozen: bool
) -> None:
    """And the watchdog; even if the gateway had been stopped with SIGSTOP."""
    running = gateway()
    server_ends, watchdog_ends = watch(running.server), watch(running.watchdog)
    if frozen:
        running.process.send_signal(signal.SIGSTOP)
        assert greeting(running.port) is not None
    running.kill()
    assert server_ends()
    assert watchdog_ends()
    assert greeting(running.port) is None


def test_a_frozen_server_is_ended_too(gateway: Callable[..., Gateway]) -> None:
    """A frozen server cannot end in an orderly way."""
    running = gateway()
    server_ends = watch(running.server)
    os.kill(running.server, signal.SIGSTOP)
    running.kill()
    assert server_ends()


def test_other_children_of_the_gateway_do_not_keep_the_server_alive(
    gateway: Callable[..., Gateway],
) -> None:
    """A child that inherits every descriptor outlives the gateway, and the server does not."""
    running = gateway(
        then="import subprocess; child = subprocess.Popen(['sleep', '60'], close_fds=False,"
        " stdout=subprocess.DEVNULL); print(child.pid, flush=True); " + WAIT_FOREVER
    )
    child = int(running.line())
    try:
        server_ends = watch(running.server)
        running.kill()
        assert server_ends()
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_gateway_that_forgets_to_stop_its_server_leaves_nothing(
    gateway: Callable[..., Gateway],
) -> None:
    """Its main coroutine just returns, when the test tells it to."""
    running = gateway(then="await interrupted.wait()")
    server_ends = watch(running.server)
    running.process.send_signal(signal.SIGINT)
    assert server_ends()


def test_kill_9_of_the_watchdog_ends_the_server(gateway: Callable[..., Gateway]) -> None:
    """The server ends with the watchdog, and the gateway learns of it."""
    running = gateway(then="print(await server.wait(), flush=True)")
    server_ends = watch(running.server)
    os.kill(running.watchdog, signal.SIGKILL)
    assert server_ends()
    assert running.line() == str(128 + signal.SIGKILL)


def test_sigterm_to_the_watchdog_changes_nothing(gateway: Callable[..., Gateway]) -> None:
    """As from `pkill python`: the gateway decides when its NATS ends."""
    running = gateway(
        then="await interrupted.wait(); await server.stop(); print(await server.wait())"
    )
    for polite in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(running.watchdog, polite)
    running.process.send_signal(signal.SIGINT)
    assert running.line() == "0"


def test_ctrl_c_leaves_ending_the_server_to_the_gateway(gateway: Callable[..., Gateway]) -> None:
    """A terminal signals the whole process group; the gateway still drains into its NATS."""
    drain = (
        "await interrupted.wait(); import nats;"
        " client = await nats.connect(server.url, token=server.token);"
        " stream = client.jetstream(); await stream.add_stream(name='LAST', subjects=['last']);"
        " print((await stream.publish('last', b'words')).seq, flush=True);"
        " await client.close(); await server.stop()"
    )
    running = gateway(then=drain)
    server_ends = watch(running.server)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.line() == "1"
    assert server_ends()


def test_a_successor_can_start_at_once(gateway: Callable[..., Gateway]) -> None:
    """On the folder and the port of a gateway that was just killed."""
    first = gateway()
    first.kill()
    second = gateway(port=first.port)
    assert second.url == first.url
    assert greeting(second.port) is not None


def test_a_kill_during_a_start_leaves_nothing(tmp_path: Path) -> None:
    """Just as the server is started; the lock file then names it."""
    process = subprocess.Popen(
        [sys.executable, "-c", GATEWAY.format(then=WAIT_FOREVER), str(tmp_path), "0"],
        stdout=subprocess.DEVNULL,
    )
    lock = tmp_path / "nats" / "nats-server.lock"
    deadline = time.monotonic() + PATIENCE
    while not (lock.exists() and lock.read_text()) and time.monotonic() < deadline:
        pass
    process.kill()
    process.wait()
    try:
        server_ends = watch(int(lock.read_text()))
    except ProcessLookupError:
        return  # it has ended already
    assert server_ends()
