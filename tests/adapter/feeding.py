"""A feed under test: its sink, a nats-server with the stream, and events to read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import nats
from nats.aio.client import Client

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect
from percolator.jetstream.dialer import Dialer
from percolator.jetstream.direct import Stored
from percolator.jetstream.feed import Feed
from percolator.jetstream.start import WithBacklog
from percolator.jetstream.stream import definition
from percolator.model import events
from tests.gateway import event_json, eventually
from tests.nats_server import NatsServer

STREAM = "PERCOLATOR"
SUBJECT = "percolator.trade.SOL"


class RecordingSink:
    """A sink that records everything it receives."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.skipped: list[int] = []
        self.subjects: list[str] = []
        self.epochs: list[str] = []
        self.gaps: list[tuple[int, frozenset[str]]] = []
        self.asked = 0
        """Number of times that `full` was read."""
        self.on_event: Callable[[], None] = lambda: None
        self._full = False

    @property
    def full(self) -> bool:
        """Whether the feed must wait; the test sets it."""
        self.asked += 1
        return self._full

    @full.setter
    def full(self, full: bool) -> None:
        self._full = full

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Record the epoch, and forget the earlier seqs."""
        del after, first_seq, complete
        self.epochs.append(epoch)
        self.seqs = []

    def seed(self, stored: Stored) -> None:
        """Ignore it."""

    def take(self, stored: Stored) -> None:
        """Record the event."""
        self.seqs.append(stored.seq)
        self.subjects.append(stored.subject)
        self.on_event()

    def skip(self, seq: int) -> None:
        """Record the seq."""
        self.skipped.append(seq)

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Record the gap."""
        self.gaps.append((before, subjects))

    def last_seqs(self) -> Mapping[str, int]:
        """The newest seq of the one channel."""
        return {SUBJECT: self.seqs[-1] if self.seqs else 0}


def dialer(url: str, *, prefix: str | None = None, inbox_prefix: str | None = None) -> Dialer:
    """A dialer to a server."""

    async def find() -> NatsAddress:
        return NatsAddress(url, prefix=prefix, inbox_prefix=inbox_prefix)

    return Dialer(find, name="test")


def feed_of(
    url: str,
    sink: RecordingSink,
    *,
    stream: str = STREAM,
    prefix: str | None = None,
    inbox_prefix: str | None = None,
    create_stream: bool = True,
) -> Feed:
    """A feed that reads the stream into a sink."""
    return Feed(
        dialer(url, prefix=prefix, inbox_prefix=inbox_prefix).dial,
        stream,
        sink,
        start=WithBacklog(stream, 10_000, events.decode, {}),
        clock=asyncio.get_running_loop().time,
        create_stream=create_stream,
    )


@contextlib.asynccontextmanager
async def client_of(url: str) -> AsyncIterator[NatsClient]:
    """A connection as a gateway has it."""
    client = await connect(NatsAddress(url), name="test", reconnect=False)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def reading(
    url: str, *, stream: str = STREAM, prefix: str | None = None
) -> AsyncIterator[tuple[RecordingSink, Feed]]:
    """Run a feed that has loaded its state."""
    sink = RecordingSink()
    feed = feed_of(url, sink, stream=stream, prefix=prefix)
    async with running(feed):
        await eventually(lambda: feed.loaded)
        yield sink, feed


@contextlib.asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    """Run a feed; fail if it ends by itself."""
    task = asyncio.create_task(feed.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def server_with_stream(
    folder: Path, events: int = 0
) -> AsyncIterator[tuple[NatsServer, Client]]:
    """Run a nats-server whose stream holds some events, and connect to it."""
    server = NatsServer(folder / "nats")
    await asyncio.to_thread(server.start)
    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        await client.jetstream().add_stream(definition(STREAM))
        await publish(client, events)
        yield server, client
    finally:
        await client.close()
        server.close()


async def publish(client: Client, count: int) -> None:
    """Publish events, each acknowledged; retry until NATS is available."""
    for _ in range(count):
        while True:
            try:
                await client.jetstream(timeout=0.5).publish(SUBJECT, event_json("trade"))
                break
            except nats.errors.Error:
                await asyncio.sleep(0.05)


async def publish_at_once(client: Client, count: int) -> None:
    """Publish events without waiting for each ack; all are stored on return."""
    for _ in range(count - 1):
        await client.publish(SUBJECT, event_json("trade"))
    await publish(client, 1)
