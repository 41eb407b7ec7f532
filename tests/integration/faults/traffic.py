"""Traffic: events that flow while something breaks, each with a number of its own.

Published as a careful publisher would: with a message id, and again until it is acknowledged.
"""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from percolator.errors import NatsError
from percolator.jetstream.connect import NatsAddress, connect
from percolator.jetstream.publisher import Publisher
from percolator.model.channel import Channel
from tests.gateway import event_json

TICK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Published:
    """One event that the stream has acknowledged. `life` is the traffic's at that time."""

    life: int
    channel: str
    seq: int
    number: int
    at: float
    """When the acknowledgement came, on the loop's clock."""


def numbered(kind: str, number: int) -> bytes:
    """Give an event that carries a number."""
    fields: dict[str, dict[str, object]] = {
        "price": {"price": number},
        "trade": {"size": str(number)},
        "funding": {"rate": f"0.{number}"},
    }
    return event_json(kind, **fields[kind])


def number_of(fields: dict[str, Any]) -> int:
    """Read the number out of an event's fields again."""
    match fields["type"]:
        case "price":
            return int(fields["price"])
        case "trade":
            return int(fields["size"])
        case _:
            return int(fields["rate"].removeprefix("0."))


class Traffic:
    """Publishes to some channels in turn, about `rate` events a second."""

    def __init__(self, publisher: Publisher, channels: Sequence[str], rate: float) -> None:
        self.published: list[Published] = []
        self.life = 0
        """To be raised when the stream is replaced."""
        self.failures = 0
        """How often it was tried again."""
        self._publisher = publisher
        self._channels = channels
        self._rate = rate
        self._numbers = itertools.count(1)
        self._name = uuid.uuid4().hex
        self._under_way: set[asyncio.Task[Published]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._flow = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        channels = itertools.cycle(self._channels)
        start, count = loop.time(), 0
        while True:
            if not self._flowing.is_set():
                await self._flowing.wait()
                start, count = loop.time(), 0
            while count < (loop.time() - start) * self._rate:
                count += 1
                task = asyncio.create_task(self.publish(next(channels)))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(TICK_SECONDS)

    async def publish(self, channel: str) -> Published:
        """Publish one event, however often it takes."""
        number = next(self._numbers)
        named = Channel.parse(channel)
        assert named is not None
        while True:
            life = self.life
            try:
                seq = await self._publisher.publish(
                    named.subject, numbered(named.kind.name, number), f"{self._name}.{number}"
                )
                break
            except NatsError:
                self.failures += 1
                await asyncio.sleep(TICK_SECONDS)
        now = asyncio.get_running_loop().time()
        event = Published(life, named.name, seq, number, now)
        self.published.append(event)
        return event

    @contextlib.asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Publish nothing for a while; all that was under way is acknowledged first."""
        self._flowing.clear()
        await asyncio.sleep(2 * TICK_SECONDS)
        await asyncio.gather(*self._under_way)
        yield
        self._flowing.set()

    async def flowed(self, count: int) -> None:
        """Wait until so many more events were acknowledged."""
        until = len(self.published) + count
        while len(self.published) < until:  # noqa: ASYNC110 - a list sets no event
            await asyncio.sleep(TICK_SECONDS)

    async def stop(self, channels: Sequence[str]) -> dict[str, Published]:
        """Publish no more, but for one last event on each of these channels; give them."""
        self._flow.cancel()
        await asyncio.gather(self._flow, return_exceptions=True)
        await asyncio.gather(*self._under_way)
        return {channel: await self.publish(channel) for channel in channels}

    async def abandon(self) -> None:
        """End it in whatever state it is."""
        tasks = [self._flow, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def flowing(
    nats_url: str, stream: str, channels: Sequence[str], rate: float = 100
) -> AsyncIterator[Traffic]:
    """Let events flow for a while."""
    client = await connect(NatsAddress(nats_url), name="traffic", reconnect=True)
    traffic = Traffic(Publisher(client, stream), channels, rate)
    try:
        yield traffic
    finally:
        await traffic.abandon()
        with contextlib.suppress(Exception):  # a server that is gone cannot be taken leave of
            await asyncio.wait_for(client.close(), 2)
