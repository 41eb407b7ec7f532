"""A proxy that damages a gateway's stream and counts exactly what it did."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from percolator_cli.loadtest import wire


class HarmfulProxy:
    """Forwards everything except some trades, which it drops, duplicates or swaps.

    It connects to the gateway from each client's own address, so that the limits apply.
    """

    def __init__(self, gateway_port: int, share: float, seed: int) -> None:
        self.done: Counter[str] = Counter()
        """What was done, over all clients, by the report's names."""
        self._gateway_port = gateway_port
        self._share = share
        self._random = random.Random(seed)  # noqa: S311 - must be reproducible

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen, and yield the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = writer.get_extra_info("peername")[0]
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", self._gateway_port, local_addr=(source, 0)
        )
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(_pass_on(reader, up_writer), self._harm(up_reader, writer))
        for each in (writer, up_writer):
            each.close()

    async def _harm(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the gateway's frames, and damage some of them."""
        head = await reader.readuntil(wire.HEAD_END)
        writer.write(head)
        if not head.startswith(b"HTTP/1.1 101"):
            await _pass_on(reader, writer)
            return
        rest, held = b"", b""
        while got := await reader.read(65_536):
            rest += got
            at = 0
            while (end := wire.frame_end(rest, at)) >= 0:
                frame, at = rest[at:end], end
                out, held = self._frame(frame, held)
                writer.write(out)
            rest = rest[at:]
            await writer.drain()
        if held:  # no trade followed it: it was not swapped but lost
            self.done["outOfOrder"] -= 1
            self.done["lost"] += 1

    def _frame(self, frame: bytes, held: bytes) -> tuple[bytes, bytes]:
        """Return what to send for a frame, and what to hold back until the next trade."""
        if b'"type":"trade"' not in frame:
            return frame, held
        if held:
            return frame + held, b""
        if self._random.random() >= self._share:
            return frame, b""
        harm = self._random.choice(["lost", "doubled", "outOfOrder"])
        if harm == "outOfOrder":
            self.done[harm] += 1
            return b"", frame
        self.done[harm] += 1
        return (b"", b"") if harm == "lost" else (frame + frame, b"")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while got := await reader.read(65_536):
        writer.write(got)
        await writer.drain()
    writer.close()
