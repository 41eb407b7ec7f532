"""A witness that relies only on the documented protocol."""

import asyncio
import contextlib
import json
from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from percolator.model.kinds import KIND_OF_NAME
from tests.integration.faults.traffic import number_of
from tests.integration.faults.witness import Event, Gap, Witness

RETRY_SECONDS = 0.05


class RawWitness(Witness):
    """Subscribes and resumes by the documented protocol alone; each channel by its name."""

    _client: ClassVar[str] = "the protocol alone"

    async def run(self, url: str) -> None:
        """Follow forever."""
        self.epochs: dict[str, str] = {}
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                async with connect(url, compression=None, proxy=None, max_queue=None) as socket:
                    await self._read(socket)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, socket: ClientConnection) -> None:
        """Subscribe to each channel with the epoch in which it was last read; then read."""
        hello = json.loads(await socket.recv())
        self.note_state("connecting")
        for channel in self.channels:
            request: dict[str, Any] = {"type": "subscribe", "channels": [channel]}
            position = self._position(channel)
            epoch = self.epochs.setdefault(channel, hello["epoch"])
            if position is not None:
                request |= {"since": position, "epoch": epoch}
            await socket.send(json.dumps(request))
        self.note_state("live")
        async for text in socket:
            self.receive(json.loads(text))

    def _position(self, channel: str) -> int | None:
        newest = self.seen[channel][-1:]
        if not newest or channel.startswith("price:"):
            return self.since
        return newest[0].seq if isinstance(newest[0], Event) else newest[0].before - 1

    def receive(self, message: dict[str, Any]) -> None:
        """Record a message of the gateway."""
        match message["type"]:
            case "gap":
                channel, epoch = message["channel"], message.get("epoch")
                self.note_gap(channel, Gap(message["from"], message["to"], epoch))
                self.epochs[channel] = epoch or self.epochs[channel]
            case "price" | "trade" | "funding":
                self.note(*event_of(message))
            case "error":
                raise AssertionError(message)
            case _:
                pass


def event_of(message: dict[str, Any]) -> tuple[str, Event]:
    """Return the channel of an event's message, and the event; it has arrived now."""
    channel = f"{KIND_OF_NAME[message['type']].prefix}:{message['slab']}"
    now, epoch = asyncio.get_running_loop().time(), message.get("epoch", "")
    return channel, Event(message["seq"], message.get("prev"), number_of(message), now, epoch)
