"""The stream while it is read: deleted, created again, or changed by its operator."""

from pathlib import Path

import pytest
from nats.js.api import StorageType

from percolator.errors import NatsUnreachableError, StreamConflictError, StreamMissingError
from percolator.jetstream import watched
from percolator.jetstream.stream import definition
from percolator.jetstream.watched import WatchedStream
from tests.adapter.feeding import (
    STREAM,
    RecordingSink,
    client_of,
    feed_of,
    publish,
    reading,
    running,
    server_with_stream,
)
from tests.gateway import eventually


async def test_a_stream_that_was_deleted_is_created_again_as_it_was_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With its storage and its limits, not with ours."""
    async with server_with_stream(tmp_path) as (server, client):
        context = client.jetstream()
        await context.delete_stream(STREAM)
        config = definition(STREAM).evolve(
            storage=StorageType.MEMORY, max_age=600, max_bytes=50_000
        )
        await context.add_stream(config)
        async with reading(server.url) as (sink, _):
            await context.delete_stream(STREAM)
            await eventually(lambda: len(sink.epochs) == 2)
            found = (await context.stream_info(STREAM)).config
            assert (found.storage, found.max_age, found.max_bytes) == ("memory", 600, 50_000)
            await publish(client, 1)
            await eventually(lambda: sink.seqs == [1])
    (line,) = [text for text in caplog.messages if "created again" in text]
    assert "storage memory, replicas 1, max_age 600 s, max_bytes 50000" in line
    assert "set create_stream to false" in line


async def test_a_gateway_that_starts_does_not_create_a_stream_that_is_its_operators(
    tmp_path: Path,
) -> None:
    """The error names the command that creates it."""
    async with server_with_stream(tmp_path) as (server, client):
        await client.jetstream().delete_stream(STREAM)
        feed = feed_of(server.url, RecordingSink(), create_stream=False)
        with pytest.raises(StreamMissingError, match=f"nats stream add {STREAM} --config"):
            await feed.run()


async def test_a_gateway_waits_for_the_operator_whose_stream_has_gone(tmp_path: Path) -> None:
    """It says what it waits for, and reads the stream once it is there."""
    async with server_with_stream(tmp_path, events=2) as (server, client):
        sink = RecordingSink()
        feed = feed_of(server.url, sink, create_stream=False)
        async with running(feed):
            await eventually(lambda: sink.seqs == [1, 2])
            await client.jetstream().delete_stream(STREAM)
            await eventually(lambda: "create_stream is false" in feed.trouble)
            await client.jetstream().add_stream(definition(STREAM))
            await publish(client, 1)
            await eventually(lambda: len(sink.epochs) == 2 and sink.seqs == [1])


async def test_a_definition_that_changes_while_the_stream_is_read_is_logged_once(
    nats_url: str, stream_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it now conflicts with ours, or lets messages expire."""
    async with client_of(nats_url) as client:
        stream, context = WatchedStream(stream_name), client.jetstream()
        await stream.ensure(client, timeout=4)
        config = (await context.stream_info(stream_name)).config
        await context.update_stream(config.evolve(allow_direct=False))
        for _ in range(2):
            with pytest.raises(StreamConflictError):
                await stream.look(client, timeout=4)
        await context.update_stream(config.evolve(allow_msg_ttl=True))
        for _ in range(2):
            await stream.look(client, timeout=4)
    conflict, growth = [
        record.getMessage() for record in caplog.records if record.name == watched.__name__
    ]
    assert "allow_direct is False, not True" in conflict
    assert "may expire one by one (allow_msg_ttl)" in growth


async def test_a_look_creates_nothing(nats_url: str, stream_name: str) -> None:
    """Only a feed that is about to read does."""
    async with client_of(nats_url) as client:
        with pytest.raises(NatsUnreachableError, match="was deleted"):
            await WatchedStream(stream_name).look(client, timeout=4)
        with pytest.raises(StreamMissingError):
            await WatchedStream(stream_name, create=False).look(client, timeout=4)


async def test_gateways_create_a_deleted_stream_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of them says so."""
    async with (
        server_with_stream(tmp_path) as (server, client),
        reading(server.url) as (first, _),
        reading(server.url) as (second, _),
    ):
        await client.jetstream().delete_stream(STREAM)
        await eventually(lambda: len(first.epochs) == len(second.epochs) == 2)
        assert first.epochs == second.epochs
    assert len([text for text in caplog.messages if "created again" in text]) == 1
