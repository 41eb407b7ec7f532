"""A proxy that harms a gateway's stream, and knows exactly what it did."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from percolator_cli.loadtest import wire


class HarmfulProxy:
    """Passes everything on, but for some trades, which it drops, doubles or swaps.

    Clients reach the gateway from the addresses that they come from, so that its limits hold.
    """

    def __init__(self, gateway_port: int, share: float, seed: int) -> None:
        self.done: Counter[str] = Counter()
        """What was done, over all clients."""
        self._gateway_port = gateway_port
        self._share = share
        self._random = random.Random(seed)  # noqa: S311 - what happens is to happen again

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Give the port."""
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
        """Pass the gateway's frames on, harmed."""
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
        if held:  # nothing came after it: it was not swapped, but withheld
            self.done["outOfOrder"] -= 1
            self.done["lost"] += 1

    def _frame(self, frame: bytes, held: bytes) -> tuple[bytes, bytes]:
        """Give what goes out for a frame, and what is held back for the next of its kind."""
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
