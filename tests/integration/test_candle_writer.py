"""Writers of candles against a real NATS: who is first, who stands by, and what is there."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import nats.errors
import pytest

from percolator.app import candle_writer as module
from percolator.app.candle_writer import CandleWriter
from percolator.jetstream import candles
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.dialer import Dialer
from percolator.projections.candles import Candle
from tests.integration.projecting import CANDLES, Streams, key_of, streams
from tests.nats_server import NatsServer

FIRST = time.time_ns() // 1_000_000 - 3_600_000
"""The start of the first minute; a candle is never written before its minute."""


def candle(slab: str, minute: int, volume: str = "1") -> Candle:
    """Return a candle as the fold makes it."""
    fields = {"type": "candle", "slab": slab, "start": FIRST + minute, "volume": volume}
    fields |= {"source": "trades", "last": 1, "epoch": "e"}
    return Candle(slab, FIRST + minute, json.dumps(fields).encode())


@contextlib.asynccontextmanager
async def writing(url: str) -> AsyncIterator[CandleWriter]:
    """Run a writer."""

    async def find() -> NatsAddress:
        return NatsAddress(url)

    clock = asyncio.get_running_loop().time
    writer = CandleWriter(Dialer(find, name="test").dial, CANDLES, clock=clock)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def both(nats_process: NatsServer) -> AsyncIterator[Streams]:
    """The streams of a NATS of the test's own."""
    async with streams(nats_process.url) as found:
        yield found


async def add(writer: CandleWriter, *minute: Candle) -> None:
    """Add a minute, and wait until it is dealt with."""
    writer.add(list(minute))
    async with asyncio.timeout(30):
        await writer.drained()


async def keys(both: Streams) -> list[tuple[int, str]]:
    """Return what is written, minutes counted from FIRST."""
    return [(start - FIRST, slab) for start, slab in map(key_of, await both.written())]


async def test_a_minute_that_is_there_in_part_is_completed(
    both: Streams, nats_process: NatsServer
) -> None:
    """As after a crash amid its candles."""
    async with writing(nats_process.url) as one:
        await add(one, candle("A", 1))
    async with writing(nats_process.url) as two:
        await add(two, candle("A", 1), candle("B", 1), candle("C", 1))
        await add(two, candle("A", 2))
        assert (two.written, two.standing_by) == (3, False)
    found = await keys(both)
    assert sorted(found[:3]) == [(1, "A"), (1, "B"), (1, "C")]
    assert found[3:] == [(2, "A")]


async def test_the_writer_that_is_second_stands_by_and_waits(
    both: Streams, nats_process: NatsServer
) -> None:
    """Of a minute that the other writes meanwhile, it writes nothing; of another, everything."""
    async with writing(nats_process.url) as one, writing(nats_process.url) as two:
        await add(one, candle("A", 1))
        await add(two, candle("A", 0))  # it knows that A has gone on
        one.add([candle("A", 2)])
        two.add([candle("A", 2)])
        await one.drained()
        await two.drained()
        active, standby = (two, one) if one.standing_by else (one, two)
        assert (active.standing_by, standby.standing_by) == (False, True)
        began = time.monotonic()
        await add(standby, candle("A", 3), candle("B", 3))
        assert 2.5 < time.monotonic() - began < 5
        assert not standby.standing_by
        await add(active, candle("A", 3), candle("B", 3))
        assert active.standing_by
        await add(standby, candle("A", 4))
    assert sorted(await keys(both)) == [(1, "A"), (2, "A"), (3, "A"), (3, "B"), (4, "A")]


async def test_a_candle_that_differs_stays_and_is_counted(
    both: Streams, nats_process: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(nats_process.url) as one, writing(nats_process.url) as two:
        await add(two, candle("Z", 1))
        await add(one, candle("A", 1, "1"))
        await add(two, candle("A", 1, "2"))
        assert (two.differing, two.standing_by) == (1, True)
    assert [json.loads(each.payload)["volume"] for each in await both.written()][1:] == ["1"]
    assert f"the candle A:{FIRST + 1} of another projector differs" in caplog.text


async def test_a_lost_acknowledgement_makes_no_writer_stand_by(
    both: Streams, nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds its own candle, and goes on."""
    write = candles.write
    lost: list[int | None] = []

    async def write_and_lose(*args: object, **named: object) -> int | None:
        seq = await write(*args, **named)  # type: ignore[arg-type]
        if not lost:
            lost.append(seq)
            raise nats.errors.TimeoutError
        return seq

    monkeypatch.setattr(candles, "write", write_and_lose)
    async with writing(nats_process.url) as one:
        await add(one, candle("A", 1), candle("B", 1))
        await add(one, candle("A", 2))
        assert one.standing_by is False
    assert lost == [1]
    assert sorted(await keys(both)) == [(1, "A"), (1, "B"), (2, "A")]


async def test_an_unexpected_error_is_logged_and_the_candle_is_written(
    both: Streams,
    nats_process: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The library may raise anything at an answer that it does not expect."""
    write, failed = candles.write, False

    async def write_or_raise(*args: object, **named: object) -> int | None:
        nonlocal failed
        if not failed:
            failed = True
            raise AttributeError("no such field")
        return await write(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(candles, "write", write_or_raise)
    async with writing(nats_process.url) as one:
        await add(one, candle("A", 1))
    assert await keys(both) == [(1, "A")]
    assert "unexpected error" in caplog.text


async def test_a_minute_is_begun_when_the_one_before_is_there_as_a_whole(
    both: Streams, nats_process: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of its candles fails, and however often."""
    write, count = candles.write, 0

    async def write_or_fail(*args: object, **named: object) -> int | None:
        nonlocal count
        count += 1
        if count % 3:
            raise nats.errors.TimeoutError
        return await write(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(candles, "write", write_or_fail)
    async with writing(nats_process.url) as one:
        for minute in range(3):
            one.add([candle(slab, minute) for slab in "ABCD"])
        async with asyncio.timeout(60):
            await one.drained()
    found = await keys(both)
    assert sorted(found) == [(minute, slab) for minute in range(3) for slab in "ABCD"]
    assert [minute for minute, _ in found] == sorted(minute for minute, _ in found)


async def test_a_deleted_stream_of_candles_is_created_again(
    both: Streams, nats_process: NatsServer
) -> None:
    async with writing(nats_process.url) as one:
        await add(one, candle("A", 1))
        await both.client.jetstream().delete_stream(CANDLES)
        await add(one, candle("A", 2))
    assert await keys(both) == [(2, "A")]


async def test_a_writer_is_full_while_many_candles_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for NATS; the feed then waits too."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    async with writing("nats://127.0.0.1:1") as one:
        one.add([candle("A", 1)])
        assert not one.full
        one.add([candle("A", 2)])
        assert one.full
