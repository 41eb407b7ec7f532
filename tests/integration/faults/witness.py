"""Witnesses: clients that record everything they receive, over any number of connections.

`RawWitness` relies only on the documented protocol; `ClientWitness` uses the client that we ship.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from percolator.client import Gap as ClientGap
from percolator.client import Refused, State, Update, follow
from percolator.model.messages import event_message
from tests.integration.faults.traffic import number_of

RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Event:
    """A received event."""

    seq: int
    prev: int | None
    number: int
    at: float
    """Time of arrival, on the loop's clock."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap; `announced` is False if the client had to detect it."""

    after: int
    before: int
    epoch: str | None
    announced: bool = True


@dataclass
class Witness:
    """What one client received on each channel, in order."""

    channels: Sequence[str]
    seen: dict[str, list[Event | Gap]] = field(default_factory=dict)
    connections: int = 0

    def __post_init__(self) -> None:
        self.seen = {channel: [] for channel in self.channels}
        self._news = asyncio.Event()

    def note(self, channel: str, item: Event | Gap) -> None:
        """Record an event or a gap."""
        self.seen[channel].append(item)
        self._news.set()

    def last(self, channel: str) -> Event | None:
        """The newest event of a channel."""
        newest = self.seen[channel][-1:]
        return newest[0] if newest and isinstance(newest[0], Event) else None

    async def has(self, channel: str, number: int) -> Event:
        """Wait until the newest event of a channel has this number."""
        while True:
            last = self.last(channel)
            if last is not None and last.number == number:
                return last
            self._news.clear()
            await self._news.wait()

    async def reaches(self, channel: str, seq: int) -> None:
        """Wait until the newest event of a channel has this seq or a later one."""
        while (last := self.last(channel)) is None or last.seq < seq:
            self._news.clear()
            await self._news.wait()

    async def received(self, channel: str, after: float) -> Event:
        """Wait for an event that arrives after a time on the loop's clock."""
        while True:
            for item in self.seen[channel]:
                if isinstance(item, Event) and item.at > after:
                    return item
            self._news.clear()
            await self._news.wait()


class RawWitness(Witness):
    """Subscribes and resumes by the documented protocol alone."""

    async def run(self, url: str, since: int | None) -> None:
        """Follow forever."""
        self.epochs: dict[str, str] = {}
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                async with connect(url, compression=None, proxy=None, max_queue=None) as socket:
                    await self._read(socket, since)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, socket: ClientConnection, since: int | None) -> None:
        """Subscribe to each channel with the epoch in which it was last read; then read."""
        hello = json.loads(await socket.recv())
        self.connections += 1
        for channel in self.channels:
            request: dict[str, Any] = {"type": "subscribe", "channels": [channel]}
            position = self._position(channel, since)
            epoch = self.epochs.setdefault(channel, hello["epoch"])
            if position is not None:
                request |= {"since": position, "epoch": epoch}
            await socket.send(json.dumps(request))
        async for text in socket:
            self._on_message(json.loads(text))

    def _position(self, channel: str, since: int | None) -> int | None:
        newest = self.seen[channel][-1:]
        if not newest or channel.startswith("price:"):
            return since
        return newest[0].seq if isinstance(newest[0], Event) else newest[0].before - 1

    def _on_message(self, message: dict[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        match message["type"]:
            case "gap":
                channel, epoch = message["channel"], message.get("epoch")
                self.note(channel, Gap(message["from"], message["to"], epoch))
                self.epochs[channel] = epoch or self.epochs[channel]
            case "price" | "trade" | "funding":
                names = {"price": "price", "trade": "trades", "funding": "funding"}
                channel = f"{names[message['type']]}:{message['slab']}"
                event = Event(message["seq"], message.get("prev"), number_of(message), now)
                self.note(channel, event)
            case "error":
                raise AssertionError(message)
            case _:
                pass


class ClientWitness(Witness):
    """Follows with `percolator.client`."""

    _was = ""

    async def run(self, url: str, since: int | None) -> None:
        """Follow forever."""
        async with follow(url, self.channels, since=since, on_state=self._state) as feed:
            async for message in feed:
                match message:
                    case Update():
                        frame = event_message(message.event, message.seq, message.prev)
                        number = number_of(json.loads(frame[frame.index(b"{") :]))
                        now = asyncio.get_running_loop().time()
                        event = Event(message.seq, message.prev, number, now)
                        self.note(message.channel, event)
                    case ClientGap():
                        gap = Gap(message.after, message.before, message.epoch, message.announced)
                        self.note(message.channel, gap)
                    case Refused():
                        raise AssertionError(message)

    def _state(self, state: State) -> None:
        is_new = self._was == "connecting" and state.name in ("live", "stale")
        self.connections += is_new  # a connection may be stale for a while, and live again
        self._was = state.name


@contextlib.asynccontextmanager
async def witnesses(
    url: str, channels: Sequence[str], *, each: int = 2, since: int | None = 0
) -> AsyncIterator[list[Witness]]:
    """Run clients of both kinds that follow from `since` on; None means from now on."""
    found: list[RawWitness | ClientWitness] = []
    for _ in range(each):
        found += [RawWitness(channels), ClientWitness(channels)]
    tasks = [asyncio.create_task(witness.run(url, since)) for witness in found]
    try:
        yield list(found)
        assert not [task for task in tasks if task.done()], "a client gave up"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
