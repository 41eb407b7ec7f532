"""The feed: each event once and in order, where the client library's own consumer falls short."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from percolator.jetstream import consumer
from percolator.jetstream import feed as module
from percolator.jetstream.connect import NatsAddress
from percolator.jetstream.dialer import Dialer
from percolator.jetstream.feed import Feed
from percolator.jetstream.stream import definition
from tests.gateway import event_json, eventually
from tests.integration.faults.at_once import at_once, scenes
from tests.integration.faults.proxy import proxy
from tests.nats_server import LOOPBACK, NatsServer

__all__ = ["scenes"]

STREAM = "PERCOLATOR"
SUBJECT = "percolator.trade.SOL"
STALL_SECONDS = 6.0
"""Shorter than the client library's stall after a reconnect, longer than any of ours."""


class Reader:
    """A sink that keeps all it is given."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.subjects: list[str] = []
        self.epochs: list[str] = []
        self.losses: list[tuple[int, frozenset[str]]] = []
        self.asked = 0
        self.taken: Callable[[], None] = lambda: None
        self._full = False

    @property
    def full(self) -> bool:
        """As it was set; how often it was asked for is counted."""
        self.asked += 1
        return self._full

    @full.setter
    def full(self, full: bool) -> None:
        self._full = full

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Note the epoch, and begin anew."""
        del after, first_seq, complete
        self.epochs.append(epoch)
        self.seqs = []

    def seed(self, seq: int, subject: str, payload: bytes) -> None:
        """No news."""

    def take(self, seq: int, subject: str, payload: bytes) -> None:
        """Note it."""
        del payload
        self.seqs.append(seq)
        self.subjects.append(subject)
        self.taken()

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Note it."""
        self.losses.append((before, subjects))

    def last_seqs(self) -> Mapping[str, int]:
        """Of the one channel."""
        return {SUBJECT: self.seqs[-1] if self.seqs else 0}


def feed_of(url: str, reader: Reader) -> Feed:
    """Make a feed that reads the stream into a sink."""

    async def find() -> NatsAddress:
        return NatsAddress(url)

    loop = asyncio.get_running_loop()
    return Feed(Dialer(find, name="feed").dial, STREAM, reader, backlog=10_000, clock=loop.time)


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[tuple[Reader, Feed]]:
    """Read the stream with our feed for a while."""
    reader = Reader()
    feed = feed_of(url, reader)
    async with running(feed):
        await eventually(lambda: feed.loaded)
        yield reader, feed


@contextlib.asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    """Run a feed for a while."""
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
    """Run a nats-server with the stream and some events in it, and connect to it."""
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
    """Publish events, each acknowledged, and again where NATS is not quite there yet."""
    for _ in range(count):
        while True:
            try:
                await client.jetstream(timeout=0.5).publish(SUBJECT, event_json("trade"))
                break
            except nats.errors.Error:
                await asyncio.sleep(0.05)


async def publish_at_once(client: Client, count: int) -> None:
    """Publish events without waiting for each; all are stored when it comes back."""
    for _ in range(count - 1):
        await client.publish(SUBJECT, event_json("trade"))
    await publish(client, 1)


async def ordered(url: str, take: Callable[[Msg], Awaitable[None]], **options: Any) -> Client:  # noqa: ANN401 - the library's
    """Read the stream with the client library's own ordered consumer."""

    async def ignore(_error: Exception) -> None:
        pass

    client = await nats.connect(
        url,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        error_cb=ignore,
    )
    await client.jetstream().subscribe(
        "percolator.>",
        stream=STREAM,
        ordered_consumer=True,
        cb=take,
        **options,
    )
    return client


@at_once
async def test_a_restart_before_the_first_event_brings_no_storm(tmp_path: Path) -> None:
    """The library's consumer, told to begin with what is new, begins at seq 1 after that."""
    theirs: list[Msg] = []

    async def take(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=50) as (server, client):
        config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, idle_heartbeat=0.5)
        other = await ordered(server.url, take, config=config)
        async with reading(server.url) as (reader, _):
            await asyncio.to_thread(server.restart)
            await publish(client, 1)
            await eventually(lambda: reader.seqs[-1:] == [51])
            assert reader.seqs == list(range(1, 52))
            await eventually(lambda: len(theirs) >= 50)
        await other.close()


@at_once
async def test_events_come_at_once_after_a_reconnect(tmp_path: Path) -> None:
    """The library's consumer, as it is by default, stalls for some 16 s."""
    theirs: list[Msg] = []

    async def take(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=1) as (server, client):
        other = await ordered(server.url, take)
        await eventually(lambda: len(theirs) == 1)
        async with reading(server.url) as (reader, _):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await publish(client, 1)
            async with asyncio.timeout(3):
                await eventually(lambda: reader.seqs == [1, 2])
            await asyncio.sleep(STALL_SECONDS)  # the one thing to be seen is that nothing comes
            assert len(theirs) == 1
        await other.close()


@at_once
async def test_a_stream_that_was_made_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    """The library's consumer waits for the seq after its last one, and has nothing before it."""
    theirs: list[Msg] = []

    async def take(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=50) as (server, client):
        config = ConsumerConfig(idle_heartbeat=0.5)
        other = await ordered(server.url, take, config=config)
        await eventually(lambda: len(theirs) == 50)
        async with reading(server.url) as (reader, _):
            await client.jetstream().delete_stream(STREAM)
            await client.jetstream().add_stream(definition(STREAM))
            await publish(client, 20)
            await eventually(lambda: len(reader.epochs) == 2 and len(reader.seqs) == 20)
            assert reader.seqs == list(range(1, 21))
            await asyncio.sleep(STALL_SECONDS)  # the one thing to be seen is that nothing comes
            assert len(theirs) == 50
        await other.close()


UNREADABLE = {
    "a subject that is no UTF-8": b"PUB percolator.trade.\xff 2\r\nhi\r\n",
    "a subject with a vertical tab": b"PUB percolator.trade.A\x0bB 2\r\nhi\r\n",
    "headers that are none": b"HPUB percolator.trade.SOL 1 3\r\nxhi\r\n",
    "a header of the server's own": (
        b"HPUB percolator.trade.SOL 25 27\r\nNATS/1.0\r\nStatus: 100\r\n\r\nhi\r\n"
    ),
}
"""Messages that nats-server takes; at each of the first three the client library stops reading."""


@at_once
async def test_an_event_that_the_library_cannot_read_does_not_stop_the_feed(
    tmp_path: Path,
) -> None:
    """It comes by another way, in its turn, and so do those after it; also at the start."""
    async with server_with_stream(tmp_path, events=1) as (server, client):
        async with reading(server.url) as (reader, feed):
            for count, message in enumerate(UNREADABLE.values()):
                await publish_raw(server, message)
                await publish(client, 1)
                await eventually(lambda: feed.seq == 3 + 2 * count)  # noqa: B023 - awaited here
            assert reader.seqs == list(range(1, 10))
            assert reader.losses == []
            seen = reader.subjects
        async with reading(server.url) as (reader, _):
            assert reader.seqs == list(range(1, 10))
            assert reader.subjects == seen


async def publish_raw(server: NatsServer, message: bytes) -> None:
    """Publish as a program does that has its own idea of the protocol."""
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n' + message + b"PING\r\n")
    answer = await reader.readuntil(b"PONG")
    assert b"-ERR" not in answer
    writer.close()
    await writer.wait_closed()


@at_once
async def test_it_tries_without_end_and_not_in_step(tmp_path: Path) -> None:
    """The waits grow to a second and are not the same; when NATS is back, it is there."""
    async with (
        server_with_stream(tmp_path, events=3) as (server, client),
        proxy(server.port) as line,
        reading(line.url) as (reader, feed),
    ):
        line.close()
        begun = len(line.calls)
        await asyncio.sleep(STALL_SECONDS)  # what is to be seen is what it does meanwhile
        calls = line.calls[begun:]
        waits = [after - before for before, after in pairwise(calls)]
        assert len(calls) >= STALL_SECONDS / 2
        assert max(waits) < 1.5
        assert len({round(wait, 2) for wait in waits}) > 2
        assert not feed.connected
        assert "cannot be reached" in feed.trouble
        await publish(client, 1)
        line.open = True
        async with asyncio.timeout(3):
            await eventually(lambda: reader.seqs == [1, 2, 3, 4])
            await eventually(lambda: not feed.trouble)  # once its consumer stands


@at_once
async def test_an_event_that_its_taker_fails_on_is_a_loss_of_its_channel(tmp_path: Path) -> None:
    """It is said, and the rest goes on."""
    async with server_with_stream(tmp_path) as (server, client), reading(server.url) as (reader, _):
        take = reader.take

        def fail_once(seq: int, subject: str, payload: bytes) -> None:
            reader.take = take  # type: ignore[method-assign]
            raise RuntimeError(seq, subject, payload)

        reader.take = fail_once  # type: ignore[method-assign]
        await publish(client, 2)
        await eventually(lambda: reader.seqs == [2])
        assert reader.losses == [(2, frozenset({SUBJECT}))]


@at_once
async def test_ready_is_when_all_is_there_that_was_there_at_the_start(tmp_path: Path) -> None:
    """Not when the server says that it has nothing more to send: that is still on its way."""
    async with server_with_stream(tmp_path, events=300) as (server, _):
        for _ in range(10):
            async with reading(server.url) as (reader, _):
                assert reader.seqs == list(range(1, 301))


@at_once
async def test_the_lag_counts_no_event_twice(tmp_path: Path) -> None:
    """Most of what the stream has more is in the queue already."""
    async with server_with_stream(tmp_path) as (server, client):
        await publish_at_once(client, 3_000)
        reader = Reader()
        feed = feed_of(server.url, reader)
        lags: list[int] = []
        reader.taken = lambda: lags.append(feed.lag)
        async with running(feed):
            await eventually(lambda: len(reader.seqs) == 3_000)
        assert all(lag <= left for lag, left in zip(lags, range(2_999, -1, -1), strict=True))


# Alone, since they change what all feeds of the process share.


async def test_a_sink_that_is_full_is_waited_for_also_after_an_outage(tmp_path: Path) -> None:
    """However far behind the feed is, only what it falls back further counts."""
    async with server_with_stream(tmp_path) as (server, client):
        await publish_at_once(client, 500)
        reader = Reader()
        reader.full = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PATIENCE", 50)
            async with running(feed_of(server.url, reader)):
                await eventually(lambda: reader.asked > 100)
                assert reader.seqs == [1]
                reader.full = False
                await eventually(lambda: reader.seqs == list(range(1, 501)))


async def test_a_sink_that_is_full_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """The stream may run ahead by so much; who cannot keep up is not to show the past."""
    async with server_with_stream(tmp_path) as (server, client), reading(server.url) as (reader, _):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PATIENCE", 50)
            await publish(client, 1)
            await eventually(lambda: reader.seqs == [1])
            reader.full = True
            for _ in range(200):
                await client.publish(SUBJECT, event_json("trade"))
            await client.flush()
            await eventually(lambda: len(reader.seqs) > 140)
            assert len(reader.seqs) < 201
            reader.full = False
            await eventually(lambda: reader.seqs == list(range(1, 202)))
            assert reader.losses == []


async def test_a_queue_that_overflows_loses_nothing(tmp_path: Path) -> None:
    """The library's consumer drops what does not fit, and goes on as if nothing were."""
    theirs: list[Msg] = []

    async def take(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path) as (server, client):
        other = await ordered(server.url, take, pending_msgs_limit=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer, "PENDING_MESSAGES", 100)
            async with reading(server.url) as (reader, feed):
                for _ in range(500):
                    await client.publish(SUBJECT, event_json("trade"))
                await client.flush()
                await eventually(lambda: reader.seqs == list(range(1, 501)))
                assert feed.restarts > 0
                assert reader.losses == []
        await publish(client, 1)
        await eventually(lambda: bool(theirs) and theirs[-1].metadata.sequence.stream == 501)
        assert len(theirs) < 501
        await other.close()


async def test_it_ends_when_it_is_cancelled_whatever_it_does_just_then(tmp_path: Path) -> None:
    """The client library swallows a cancellation now and then."""
    async with server_with_stream(tmp_path, events=50) as (server, _):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer, "PENDING_MESSAGES", 5)  # so that it starts again and again
            for moment in range(200):
                task = asyncio.create_task(feed_of(server.url, Reader()).run())
                await asyncio.sleep(moment * 0.0002)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=5)
                assert done
    gc.collect()  # a socket that was left open would now be complained of
