"""A gateway as users run it, which can be killed, frozen and restarted on one port."""

import asyncio
import signal
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import nats
from nats.aio.client import Client as NatsClient

from percolator.jetstream.publisher import Publisher
from tests.channels import subject_of
from tests.cli.program import Program, Running, Serving
from tests.gateway import event_json
from tests.nats_server import ReservedPort


class GatewayProcess:
    """The port of one gateway, whichever process serves it, and a publisher to its stream."""

    nats: NatsClient

    def __init__(self, program: Program, nats_url: str, stream: str) -> None:
        self._program = program
        self._nats_url = nats_url
        self._stream = stream
        self._port = ReservedPort()
        self._starts = ExitStack()
        self._running: Running | None = None

    @property
    def url(self) -> str:
        """The address of the dashboard, without a trailing slash."""
        return f"http://127.0.0.1:{self._port.number}"

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return self._stream

    async def start(self, *args: str) -> None:
        """Start or restart the gateway, and wait until it is ready."""
        port = str(self._port.number)
        running = self._starts.enter_context(self._program.start("serve", "--port", port, *args))
        await asyncio.to_thread(Serving.when_ready, running)
        self._running = running

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the gateway, SIGKILL by default, and wait until it has exited."""
        running, self._running = self._current(), None
        running.signal(number)
        await asyncio.to_thread(running.end)

    def freeze(self) -> None:
        """Suspend the gateway: its sockets stay open, but nothing answers."""
        self._current().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume a suspended gateway."""
        self._current().signal(signal.SIGCONT)

    async def publish(self, kind: str, slab: str, **fields: object) -> int:
        """Publish one event, whether the gateway runs or not, and return its seq."""
        payload = event_json(kind, **fields)
        return await self._publisher.publish(subject_of(kind, slab), payload)

    async def trades(self, slab: str, sizes: range) -> None:
        """Publish one trade of each size."""
        for size in sizes:
            await self.publish("trade", slab, size=str(size))

    async def __aenter__(self) -> Self:
        self.nats = await nats.connect(self._nats_url)
        self._publisher = Publisher(self.nats, self._stream)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self.thaw()
            await self.kill()
        self._starts.close()
        self._port.release()
        await self.nats.close()

    def _current(self) -> Running:
        assert self._running is not None, "the gateway is not running"
        return self._running
