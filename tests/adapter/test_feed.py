"""The feed: each event once and in order, also when the client library's own consumer fails."""

import asyncio
import gc
import logging
import re
from collections.abc import Awaitable, Callable
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
from percolator.jetstream.direct import Stored
from percolator.jetstream.gaps import with_wildcards
from percolator.jetstream.stream import definition
from tests.adapter.feeding import (
    STREAM,
    SUBJECT,
    RecordingSink,
    feed_of,
    publish,
    publish_at_once,
    reading,
    running,
    server_with_stream,
)
from tests.client import PATIENCE
from tests.gateway import event_json, eventually
from tests.integration.faults.at_once import at_once, scenarios
from tests.integration.faults.proxy import proxy
from tests.nats_server import LOOPBACK, NatsServer

__all__ = ["scenarios"]

STALL_SECONDS = 6.0
"""Seconds: long enough for the client library's consumer to come back, if it could."""


async def ordered(url: str, receive: Callable[[Msg], Awaitable[None]], **options: Any) -> Client:  # noqa: ANN401 - the library's
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
        cb=receive,
        **options,
    )
    return client


@at_once
async def test_the_feed_repeats_no_event_when_nats_restarts(
    tmp_path: Path,
) -> None:
    """The library's consumer, set to deliver only new events, starts at seq 1 after a restart."""
    theirs: list[Msg] = []

    async def receive(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=50) as (server, client):
        config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, idle_heartbeat=0.5)
        other = await ordered(server.url, receive, config=config)
        async with reading(server.url) as (sink, _):
            await asyncio.to_thread(server.restart)
            await publish(client, 1)
            await eventually(lambda: sink.seqs[-1:] == [51])
            assert sink.seqs == list(range(1, 52))
            await eventually(lambda: len(theirs) >= 50)
        await other.close()


@at_once
async def test_the_feed_delivers_events_soon_after_a_reconnect(tmp_path: Path) -> None:
    """The library's consumer stalls with its defaults; ours reads 50 meanwhile, one by one."""
    theirs: list[Msg] = []

    async def receive(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=1) as (server, client):
        other = await ordered(server.url, receive)
        await eventually(lambda: len(theirs) == 1)
        async with reading(server.url) as (sink, _):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            for seq in range(2, 52):
                await publish(client, 1)
                await eventually(lambda: sink.seqs[-1:] == [seq])  # noqa: B023 - awaited here
            assert sink.seqs == list(range(1, 52))
            assert len(theirs) == 1
        await other.close()


@at_once
async def test_the_feed_reads_a_recreated_stream_from_its_beginning(tmp_path: Path) -> None:
    """The library's consumer waits for the seq after its last one, and misses those before."""
    theirs: list[Msg] = []

    async def receive(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path, events=50) as (server, client):
        config = ConsumerConfig(idle_heartbeat=0.5)
        other = await ordered(server.url, receive, config=config)
        await eventually(lambda: len(theirs) == 50)
        async with reading(server.url) as (sink, _):
            await client.jetstream().delete_stream(STREAM)
            await client.jetstream().add_stream(definition(STREAM))
            await publish(client, 20)
            await eventually(lambda: len(sink.epochs) == 2 and len(sink.seqs) == 20)
            assert sink.seqs == list(range(1, 21))
            await asyncio.sleep(STALL_SECONDS)  # only time can show that nothing comes
            assert len(theirs) == 50
        await other.close()


UNREADABLE = {
    "a subject that is not UTF-8": b"PUB percolator.trade.\xff 2\r\nhi\r\n",
    "a subject with a vertical tab": b"PUB percolator.trade.A\x0bB 2\r\nhi\r\n",
    "invalid headers": b"HPUB percolator.trade.SOL 1 3\r\nxhi\r\n",
    "a header that only the server uses": (
        b"HPUB percolator.trade.SOL 25 27\r\nNATS/1.0\r\nStatus: 100\r\n\r\nhi\r\n"
    ),
}
"""Messages that nats-server accepts; the client library stops reading at the first three."""


@at_once
async def test_the_feed_passes_on_an_event_that_the_library_cannot_read(
    tmp_path: Path,
) -> None:
    """A direct get returns it, in order, and the events after it; also at the start."""
    async with server_with_stream(tmp_path, events=1) as (server, client):
        async with reading(server.url) as (sink, feed):
            for count, message in enumerate(UNREADABLE.values()):
                await publish_raw(server, message)
                await publish(client, 1)
                await eventually(lambda: feed.seq == 3 + 2 * count)  # noqa: B023 - awaited here
            assert sink.seqs == list(range(1, 10))
            assert sink.gaps == []
            seen = sink.subjects
        async with reading(server.url) as (sink, _):
            assert sink.seqs == list(range(1, 10))
            assert sink.subjects == seen


async def publish_raw(server: NatsServer, message: bytes) -> None:
    """Publish like a program with its own idea of the protocol."""
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n' + message + b"PING\r\n")
    answer = await reader.readuntil(b"PONG")
    assert b"-ERR" not in answer
    writer.close()
    await writer.wait_closed()


@at_once
async def test_the_feed_retries_forever_at_irregular_intervals(tmp_path: Path) -> None:
    """The waits grow to a second and differ; the feed reads again when NATS is back."""
    async with (
        server_with_stream(tmp_path, events=3) as (server, client),
        proxy(server.port) as line,
        reading(line.url) as (sink, feed),
    ):
        line.close()
        begun = len(line.calls)
        await eventually(lambda: len(line.calls) >= begun + 12)
        waits = [after - before for before, after in pairwise(line.calls[begun:])]
        assert len({round(wait, 2) for wait in waits}) > 2
        assert not feed.connected
        assert "cannot be reached" in feed.trouble
        await publish(client, 1)
        line.open = True
        await eventually(lambda: sink.seqs == [1, 2, 3, 4])
        await eventually(lambda: not feed.trouble)  # empty once its consumer exists


@at_once
async def test_the_feed_records_a_gap_when_the_sink_raises(tmp_path: Path) -> None:
    """The event's channel gets the gap, and the events after it are passed on."""
    async with server_with_stream(tmp_path) as (server, client), reading(server.url) as (sink, _):
        take = sink.take

        def fail_once(stored: Stored) -> None:
            sink.take = take  # type: ignore[method-assign]
            raise RuntimeError(stored)

        sink.take = fail_once  # type: ignore[method-assign]
        await publish(client, 2)
        await eventually(lambda: sink.seqs == [2])
        assert sink.gaps == [(2, with_wildcards([SUBJECT]))]


@at_once
async def test_the_feed_is_ready_once_it_has_passed_on_the_whole_stream(
    tmp_path: Path,
) -> None:
    """Not when the server has sent everything: the last events may still be on their way."""
    async with server_with_stream(tmp_path, events=300) as (server, _):
        for _ in range(10):
            async with reading(server.url) as (sink, _):
                assert sink.seqs == list(range(1, 301))


@at_once
async def test_the_lag_counts_each_event_once(tmp_path: Path) -> None:
    """Most of the events that the feed has not passed on are already in its queue."""
    async with server_with_stream(tmp_path) as (server, client):
        await publish_at_once(client, 3_000)
        sink = RecordingSink()
        feed = feed_of(server.url, sink)
        lags: list[int] = []
        sink.on_event = lambda: lags.append(feed.lag)
        async with running(feed):
            await eventually(lambda: len(sink.seqs) == 3_000)
        assert all(lag <= left for lag, left in zip(lags, range(2_999, -1, -1), strict=True))


# One at a time, since they patch what all feeds of the process share.


async def test_the_feed_waits_for_a_full_sink_after_an_outage(tmp_path: Path) -> None:
    """However far behind the feed is, only the events by which it falls further behind count."""
    async with server_with_stream(tmp_path) as (server, client):
        await publish_at_once(client, 500)
        sink = RecordingSink()
        sink.full = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PATIENCE", 50)
            async with running(feed_of(server.url, sink)):
                await eventually(lambda: sink.asked > 100)
                assert sink.seqs == [1]
                sink.full = False
                await eventually(lambda: sink.seqs == list(range(1, 501)))


async def test_the_feed_stops_waiting_for_a_full_sink_eventually(
    tmp_path: Path,
) -> None:
    """A gateway that cannot keep up must not show old events."""
    async with server_with_stream(tmp_path) as (server, client), reading(server.url) as (sink, _):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PATIENCE", 50)
            await publish(client, 1)
            await eventually(lambda: sink.seqs == [1])
            sink.full = True
            for _ in range(200):
                await client.publish(SUBJECT, event_json("trade"))
            await client.flush()
            await eventually(lambda: len(sink.seqs) > 140)
            assert len(sink.seqs) < 201
            sink.full = False
            await eventually(lambda: sink.seqs == list(range(1, 202)))
            assert sink.gaps == []


async def test_the_feed_loses_no_event_when_its_queue_overflows(tmp_path: Path) -> None:
    """The library's consumer silently drops the events that do not fit."""
    theirs: list[Msg] = []

    async def receive(message: Msg) -> None:
        theirs.append(message)

    async with server_with_stream(tmp_path) as (server, client):
        other = await ordered(server.url, receive, pending_msgs_limit=100)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer, "PENDING_MESSAGES", 100)
            async with reading(server.url) as (sink, feed):
                for _ in range(500):
                    await client.publish(SUBJECT, event_json("trade"))
                await client.flush()
                await eventually(lambda: sink.seqs == list(range(1, 501)))
                assert feed.restarts > 0
                assert sink.gaps == []
        await publish(client, 1)
        await eventually(lambda: bool(theirs) and theirs[-1].metadata.sequence.stream == 501)
        assert len(theirs) < 501
        await other.close()


async def test_the_feed_ends_when_it_is_cancelled_at_any_moment(tmp_path: Path) -> None:
    """The client library sometimes swallows a cancellation."""
    async with server_with_stream(tmp_path, events=50) as (server, _):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer, "PENDING_MESSAGES", 5)  # so that its consumers keep failing
            for moment in range(200):
                task = asyncio.create_task(feed_of(server.url, RecordingSink()).run())
                await asyncio.sleep(moment * 0.0002)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=PATIENCE)
                assert done
    gc.collect()  # an open socket would raise a warning now


async def test_each_consumer_start_logs_a_debug_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restart, with how long the previous consumer lasted and why it ended."""
    async with server_with_stream(tmp_path, events=2) as (server, _):
        with caplog.at_level(logging.DEBUG, logger=module.__name__):
            async with reading(server.url) as (_, feed):
                await asyncio.to_thread(server.restart)
                await eventually(lambda: feed.restarts > 0)
    text = "feed: consumer started on stream"
    lines = [line for line in caplog.messages if line.startswith(text)]
    assert lines[0] == f"{text} {STREAM} after seq 0"
    assert re.fullmatch(
        rf"{text} {STREAM} after seq 2; the previous one lasted \d\.\d s: "
        "the connection to NATS has ended",
        lines[1],
    )


async def test_a_consumer_start_logs_nothing_above_the_debug_level(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the default level, only the loaded state is logged."""
    async with server_with_stream(tmp_path, events=2) as (server, _):
        with caplog.at_level(logging.INFO, logger="percolator"):
            async with reading(server.url):
                pass
    assert caplog.messages == ["feed: state loaded up to seq 2"]
