"""A TCP load balancer for tests: it rotates through its backends and skips dead ones.

It knows nothing about the bytes it carries, as the simplest real ones do not.
"""

import asyncio
import contextlib
from typing import Self

Port = int


class Balancer:
    """Listens on a free loopback port; `backends` are ports, and may change at any time."""

    def __init__(self) -> None:
        self.backends: list[Port] = []
        self.carried: dict[Port, int] = {}
        """Number of connections per backend."""
        self._turn = 0
        self._server: asyncio.Server
        self._pipes: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> Port:
        """The port that clients connect to."""
        port: Port = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in self.backends:
            self._turn += 1
            backend = self.backends[self._turn % len(self.backends)]
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection("127.0.0.1", backend)
                self.carried[backend] = self.carried.get(backend, 0) + 1
                self._pipe(reader, there[1])
                self._pipe(there[0], writer)
                return
        writer.close()

    def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_carry(reader, writer))
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
