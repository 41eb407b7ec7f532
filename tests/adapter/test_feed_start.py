"""A feed that is told where to start, as a projector's is."""

import asyncio
from pathlib import Path

from percolator.jetstream.client import NatsClient
from percolator.jetstream.feed import Feed
from percolator.jetstream.start import Start
from percolator.jetstream.stream import StreamState, definition
from tests.adapter.feeding import (
    STREAM,
    RecordingSink,
    dialer,
    publish,
    publish_at_once,
    running,
    server_with_stream,
)
from tests.gateway import eventually


class Starting:
    """A feed that starts after a seq; what it asked is recorded."""

    def __init__(self, url: str, after: int) -> None:
        self.asked: list[int] = []
        self.after = after
        self.sink = RecordingSink()
        self.seeds: list[object] = []
        self.sink.seed = self.seeds.append  # type: ignore[method-assign, assignment]
        clock = asyncio.get_running_loop().time
        self.feed = Feed(
            dialer(url).dial, STREAM, self.sink, start=self._start, waits=True, clock=clock
        )

    async def _start(self, client: NatsClient, state: StreamState, is_first: bool) -> Start:  # noqa: FBT001
        assert client.is_connected
        assert is_first is not bool(self.asked)
        self.asked.append(state.last_seq)
        return Start(self.after, [])


async def test_the_feed_starts_where_it_is_told_without_seeds(tmp_path: Path) -> None:
    async with server_with_stream(tmp_path, events=5) as (server, _):
        starting = Starting(server.url, 3)
        async with running(starting.feed):
            await eventually(lambda: starting.feed.loaded)
            assert (starting.sink.seqs, starting.seeds, starting.asked) == ([4, 5], [], [5])


async def test_the_feed_starts_with_what_is_there_if_the_stream_lacks_its_place(
    tmp_path: Path,
) -> None:
    async with server_with_stream(tmp_path, events=5) as (server, client):
        await client.jetstream().purge_stream(STREAM, seq=4)
        starting = Starting(server.url, 1)
        async with running(starting.feed):
            await eventually(lambda: starting.feed.loaded)
            assert starting.sink.seqs == [4, 5]


async def test_the_feed_asks_again_where_to_start_when_the_stream_was_replaced(
    tmp_path: Path,
) -> None:
    """It does not ask when it only reconnects."""
    async with server_with_stream(tmp_path, events=5) as (server, client):
        starting = Starting(server.url, 3)
        async with running(starting.feed):
            await eventually(lambda: starting.feed.loaded)
            await asyncio.to_thread(server.restart)
            await publish(client, 1)
            await eventually(lambda: starting.sink.seqs == [4, 5, 6])
            assert len(starting.asked) == 1
            starting.after = 0
            await client.jetstream().delete_stream(STREAM)
            await client.jetstream().add_stream(definition(STREAM))
            await publish(client, 2)
            await eventually(lambda: starting.sink.seqs == [1, 2])
            assert len(starting.sink.epochs) == 2


async def test_a_feed_that_waits_is_never_out_of_patience(tmp_path: Path) -> None:
    """A projector must not drop what it cannot write yet; the stream holds it."""
    async with server_with_stream(tmp_path, events=1) as (server, client):
        starting = Starting(server.url, 0)
        async with running(starting.feed):
            await eventually(lambda: starting.sink.seqs == [1])
            starting.sink.full = True
            await publish_at_once(client, 12_000)
            before = starting.sink.asked
            await eventually(lambda: starting.sink.asked > before + 300)
            assert len(starting.sink.seqs) < 100
            starting.sink.full = False
            await eventually(lambda: len(starting.sink.seqs) == 12_001)
            assert starting.sink.gaps == []
