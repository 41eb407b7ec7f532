"""Projectors as processes, against a real NATS: each candle once, the same as a plain fold's."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from percolator.jetstream import candles, stream
from tests.cli.program import Program
from tests.gateway import eventually
from tests.integration.projecting import (
    CANDLES,
    EVENTS,
    Streams,
    key_of,
    lateness,
    start,
    streams,
    trading,
)
from tests.nats_server import NatsServer


@pytest.fixture
async def both(nats_process: NatsServer) -> AsyncIterator[Streams]:
    """The streams of a NATS of the test's own."""
    async with streams(nats_process.url) as found:
        yield found


async def test_a_projector_writes_the_candles_of_all_markets(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """In a silence it writes the last ones too; on SIGTERM it ends with 0."""
    with start(tmp_path, nats_process.url) as projector:
        async with trading(both, "SOL", "BTC"):
            await asyncio.sleep(3)
        written = await both.check()
        assert {key_of(each)[1] for each in written} == {"SOL", "BTC", "ETH"}
        assert max(lateness(written)) < 4
        assert projector.terminate() == 0


async def test_a_restarted_projector_writes_what_is_missing_and_nothing_twice(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """It reads the minutes that came while no projector ran."""
    async with trading(both, "SOL", "BTC"):
        for _ in range(3):
            with start(tmp_path, nats_process.url) as projector:
                await projector.becomes("writing")
            await asyncio.sleep(1.5)
    with start(tmp_path, nats_process.url):
        await both.check()


async def test_a_projector_goes_on_when_nats_comes_back(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """Frozen, and started again with what it had stored."""
    with start(tmp_path, nats_process.url) as projector:
        async with trading(both, "SOL"):
            await projector.becomes("writing")
        nats_process.freeze()
        await asyncio.sleep(5)
        nats_process.thaw()
        await both.publish("trade", "SOL")
        nats_process.restart()
        await both.publish("trade", "SOL")
        await both.check()
        assert projector.terminate() == 0


async def test_late_events_are_in_the_minute_in_which_they_were_stored(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """So are those of publishers whose clocks are wrong, in both directions."""
    with start(tmp_path, nats_process.url):
        for ahead_ms in (0, -900, -1_900, -2_500, -60_000, 30_000, 0):
            now = time.time_ns() // 1_000_000
            await both.publish("trade", timestamp=now + ahead_ms)
            await asyncio.sleep(0.3)
        await both.check()


async def test_a_candle_whose_minute_may_lack_events_is_partial(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """The stream dropped events that no projector had read."""
    with start(tmp_path, nats_process.url) as projector:
        await both.publish("trade", "SOL")
        await both.all_written(1)
        projector.kill()
    for number in range(10):
        last = await both.publish("trade", "SOL", size=str(number))
        await both.publish("trade", "BTC", size=str(number))
    await both.client.jetstream().purge_stream(EVENTS, seq=last)
    with start(tmp_path, nats_process.url):
        written = [json.loads(each.payload) for each in await both.all_written(3)]
    assert [each.get("partial") for each in written] == [None, True, True]
    assert {each["slab"]: each["volume"] for each in written[1:]} == {"SOL": "9", "BTC": "9"}


async def test_candles_go_on_when_the_stream_of_events_is_replaced(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """With the epoch of the new one; nothing is written again."""
    with start(tmp_path, nats_process.url):
        await both.publish("trade", "SOL", size="7")
        old = [each.payload for each in await both.all_written(1)]
        await both.client.jetstream().delete_stream(EVENTS)
        state = await stream.ensure(both.client, EVENTS)
        await both.publish("trade", "SOL", size="8")
        written = await both.all_written(2)
    assert [each.payload for each in written[:1]] == old
    new = json.loads(written[1].payload)
    assert (new["volume"], new["last"], new["epoch"]) == ("8", 1, state.epoch)


async def test_candles_are_made_again_after_their_stream_was_deleted(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """Of the events that are there, while no projector runs."""
    with start(tmp_path, nats_process.url):
        async with trading(both, "SOL"):
            await asyncio.sleep(2)
        before = await both.check()
    await both.client.jetstream().delete_stream(CANDLES)
    with start(tmp_path, nats_process.url):
        after = await both.check()
    assert [each.payload for each in after] == [each.payload for each in before]


async def test_a_message_that_is_not_a_candle_keeps_no_candle_out(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """An operator may have published one by mistake."""
    await candles.ensure(both.client, CANDLES)
    await both.client.jetstream().publish("percolator.candle.SOL", b"no candle")
    with start(tmp_path, nats_process.url):
        await both.publish("trade", "SOL")
        written = await both.all_written(2)
    assert [written[1].payload] == list((await both.expected()).values())


async def test_an_unfit_stream_of_candles_is_reported_in_one_sentence(
    both: Streams, nats_process: NatsServer, tmp_path: Path
) -> None:
    """It says what to change."""
    await both.client.jetstream().add_stream(
        name=CANDLES, subjects=["percolator.candle.>"], discard="new", allow_direct=True
    )
    program = Program(tmp_path, nats_url=nats_process.url)
    done = await asyncio.to_thread(program.run, "project")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"percolator: the stream {CANDLES} exists with another definition (discard is new, not "
        "old): fix it, or choose another name with --candles-stream\n"
    )


async def test_a_signal_stops_a_projector_that_waits_for_nats(tmp_path: Path) -> None:
    """It says what it waits for."""
    with start(tmp_path, "nats://127.0.0.1:1") as projector:
        await eventually(lambda: any("cannot be reached" in each for each in projector.lines))
        assert projector.terminate() == 0
