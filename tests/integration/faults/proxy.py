"""A TCP proxy that does to a connection what networks do: cut it, delay it, drop it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.nats_server import LOOPBACK

CHUNK = 65_536


class Proxy:
    """Forwards connections to `target`, a loopback port that may change at any time."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        """Extra seconds for all data, in each direction."""
        self.open = True
        """If False, new connections are cut at once."""
        self.calls: list[float] = []
        """Time of each connection, on the loop's clock."""
        self.port = 0
        self._cut: bytes | None = None
        self._was_cut = asyncio.Event()
        self._lines: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address for NATS clients."""
        return f"nats://{LOOPBACK}:{self.port}"

    async def cut_inside(self, pattern: bytes) -> None:
        """Cut the next connection that sends `pattern` to its client, in the middle of the pattern.

        Returns after the cut.
        """
        self._cut = pattern
        self._was_cut.clear()
        await self._was_cut.wait()

    def close(self) -> None:
        """Cut all connections, and accept no others until `open` is set again."""
        self.open = False
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        for line in self._lines:
            line.cancel()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        self.calls.append(asyncio.get_running_loop().time())
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        there: asyncio.StreamWriter | None = None
        try:
            if not self.open:
                return
            source, there = await asyncio.open_connection(LOOPBACK, self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, there, to_client=False))
                both.create_task(self._forward(source, writer, to_client=True))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(line)
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            if to_client and self._cut is not None and (at := data.find(self._cut)) >= 0:
                middle = at + len(self._cut) // 2
                self._cut = None
                writer.write(data[:middle])
                await writer.drain()
                self._was_cut.set()
                raise ConnectionAbortedError
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError  # one side has ended, so end the other


@contextlib.asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port."""
    found = Proxy(target)
    server = await asyncio.start_server(found.accept, LOOPBACK, 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        found.cut()
        await asyncio.gather(*found._lines, return_exceptions=True)
