"""Traffic: events that flow while something breaks, each with a unique number.

Published like a careful publisher does: with a message id, and retried until acknowledged.
"""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from percolator.errors import NatsError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from percolator.model.channel import Channel
from tests.gateway import event_json

TICK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Published:
    """An event that the stream acknowledged; `incarnation` is the traffic's at that time."""

    incarnation: int
    channel: str
    seq: int
    number: int
    at: float
    """Time of the ack, on the loop's clock."""


def numbered(kind: str, number: int) -> bytes:
    """Return an event that carries a number."""
    fields: dict[str, dict[str, object]] = {
        "price": {"price": number},
        "trade": {"size": str(number)},
        "funding": {"rate": f"0.{number}"},
    }
    return event_json(kind, **fields[kind])


def number_of(fields: dict[str, Any]) -> int:
    """Return the number that an event carries."""
    match fields["type"]:
        case "price":
            return int(fields["price"])
        case "trade":
            return int(fields["size"])
        case _:
            return int(fields["rate"].removeprefix("0."))


class Traffic:
    """Publishes to some channels in turn, about `rate` events per second."""

    def __init__(self, publisher: Publisher, channels: Sequence[str], rate: float) -> None:
        self.published: list[Published] = []
        self.incarnation = 0
        """Number of the stream's incarnation; the test increments it."""
        self.failures = 0
        """Number of retries."""
        self._publisher = publisher
        self._channels = channels
        self._rate = rate
        self._numbers = itertools.count(1)
        self._name = uuid.uuid4().hex
        self._in_flight: set[asyncio.Task[Published]] = set()
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
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            await asyncio.sleep(TICK_SECONDS)

    async def publish(self, channel: str) -> Published:
        """Publish one event, with retries until it is acknowledged."""
        number = next(self._numbers)
        named = Channel.parse(channel)
        assert named is not None
        while True:
            incarnation = self.incarnation
            try:
                seq = await self._publisher.publish(
                    named.subject, numbered(named.kind.name, number), f"{self._name}.{number}"
                )
                break
            except NatsError:
                self.failures += 1
                await asyncio.sleep(TICK_SECONDS)
        now = asyncio.get_running_loop().time()
        event = Published(incarnation, named.name, seq, number, now)
        self.published.append(event)
        return event

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Pause publishing; everything in flight is acknowledged first."""
        self._flowing.clear()
        await asyncio.sleep(2 * TICK_SECONDS)
        await asyncio.gather(*self._in_flight)
        yield
        self._flowing.set()

    async def flowed(self, count: int) -> None:
        """Wait until `count` more events were acknowledged."""
        until = len(self.published) + count
        while len(self.published) < until:  # noqa: ASYNC110 - a list sets no event
            await asyncio.sleep(TICK_SECONDS)

    async def stop(self, channels: Sequence[str]) -> dict[str, Published]:
        """Stop publishing; publish one last event on each of these channels and return them."""
        self._flow.cancel()
        await asyncio.gather(self._flow, return_exceptions=True)
        await asyncio.gather(*self._in_flight)
        return {channel: await self.publish(channel) for channel in channels}

    async def abandon(self) -> None:
        """End the traffic in whatever state it is."""
        tasks = [self._flow, *self._in_flight]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def flowing(
    nats_url: str, stream: str, channels: Sequence[str], rate: float = 100
) -> AsyncIterator[Traffic]:
    """Run traffic."""
    client = await connect(NatsAddress(nats_url), name="traffic", reconnect=True)
    traffic = Traffic(Publisher(client, stream), channels, rate)
    try:
        yield traffic
    finally:
        await traffic.abandon()
        with contextlib.suppress(Exception):  # the server may be gone
            await asyncio.wait_for(client.close(), 2)
