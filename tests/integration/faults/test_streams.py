"""A stream that drops events, is replaced or goes back: what is gone is told, and nothing else."""

import asyncio
import shutil
from pathlib import Path

from percolator.jetstream.stream import definition
from tests.gateway import eventually
from tests.integration.faults.at_once import at_once, scenes
from tests.integration.faults.scenario import PATIENCE, STREAM, FaultScenario, scene
from tests.integration.faults.witness import Gap

__all__ = ["scenes"]

LOSSLESS = 3
"""Channels on which events flow that must not be lost unsaid."""


@at_once
async def test_the_stream_is_purged_under_way(tmp_path: Path) -> None:
    """What everybody has had already is no loss."""
    async with scene(tmp_path) as play:
        await play.flow()
        await play.client.jetstream().purge_stream(STREAM)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict


@at_once
async def test_the_stream_is_purged_before_it_was_read(tmp_path: Path) -> None:
    """A gap names what is gone, and only that; it comes though no event follows."""
    async with scene(tmp_path) as play:
        await play.flow()
        play.line.close()
        await play.traffic.flowed(60)
        await play.client.jetstream().purge_stream(STREAM)
        play.line.open = True
        await gaps_everywhere(play)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(play.witnesses)


async def gaps_everywhere(play: FaultScenario) -> None:
    """Wait until each witness has a gap on each lossless channel."""
    await eventually(
        lambda: all(
            any(isinstance(item, Gap) for item in seen)
            for witness in play.witnesses
            for channel, seen in witness.seen.items()
            if not channel.startswith("price:")
        )
    )


@at_once
async def test_the_stream_is_deleted_and_made_again(tmp_path: Path) -> None:
    """A new life begins with a gap on each channel, and all of it is there."""
    async with scene(tmp_path) as play:
        await play.flow()
        await replace(play)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(play.witnesses)


async def replace(play: FaultScenario) -> None:
    """Delete the stream and make it again at once; wait until the gateway has noticed."""
    context = play.client.jetstream()
    before = play.gateway.service.hub.book.epoch
    async with play.traffic.held_up():
        await context.delete_stream(STREAM)
        await context.add_stream(play.config)
        play.traffic.life += 1
    await eventually(lambda: play.gateway.service.hub.book.epoch != before)


@at_once
async def test_old_events_go_for_want_of_room_before_they_were_read(tmp_path: Path) -> None:
    """The bytes that the stream may take are used up while the gateway is away."""
    config = definition(STREAM).evolve(max_bytes=40_000)
    async with scene(tmp_path, config=config, rate=200) as play:
        await play.flow()
        play.line.close()
        await play.traffic.flowed(500)
        play.line.open = True
        await gaps_everywhere(play)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(play.witnesses)


@at_once
async def test_old_events_of_a_busy_channel_go_before_they_were_read(tmp_path: Path) -> None:
    """A channel of which nothing is gone is told of no gap, though the stream is full of holes."""
    config = definition(STREAM).evolve(max_msgs_per_subject=20)
    async with scene(tmp_path, config=config, rate=200, quiet=["trades:Q", "funding:Q"]) as play:
        await play.flow()
        play.line.close()
        await play.traffic.publish("trades:Q")
        await play.traffic.flowed(300)
        play.line.open = True
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    quiet = [play.witnesses[0].seen[channel] for channel in ("trades:Q", "funding:Q")]
    assert not any(isinstance(item, Gap) for seen in quiet for item in seen)
    assert verdict.gaps >= LOSSLESS * len(play.witnesses)


@at_once
async def test_the_stream_goes_back(tmp_path: Path) -> None:
    """It was restored from a backup: its seqs come again, for other events, in another life."""
    async with scene(tmp_path) as play:
        await play.flow()
        async with play.traffic.held_up():
            await set_back(play)
            await noticed(play)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(play.witnesses)


@at_once
async def test_the_stream_goes_back_and_grows_past_where_it_was(tmp_path: Path) -> None:
    """It has more events than were read before, but they are others."""
    async with scene(tmp_path) as play:
        await play.flow()
        async with play.traffic.held_up():
            await set_back(play)
            while play.traffic.published[-1].seq <= play.gateway.service.hub.book.seq:
                await play.traffic.publish("trades:B")
            await noticed(play)
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(play.witnesses)


async def set_back(play: FaultScenario) -> None:
    """Restore what the server held some 100 events ago, and let the gateway not look on."""
    store, backup = play.server.folder / "store", play.server.folder / "backup"
    await asyncio.to_thread(play.server.terminate)
    shutil.copytree(store, backup)
    await asyncio.to_thread(play.server.start)
    for _ in range(100):
        await play.gateway.has_read((await play.traffic.publish("trades:A")).seq)
    play.line.close()
    await asyncio.to_thread(play.server.kill)
    shutil.rmtree(store)
    backup.rename(store)
    await asyncio.to_thread(play.server.start)
    play.traffic.life += 1


async def noticed(play: FaultScenario) -> None:
    """Let the gateway look again, and wait until it has seen that it is another life."""
    before = play.gateway.service.hub.book.epoch
    play.line.open = True
    async with asyncio.timeout(PATIENCE):
        await eventually(lambda: play.gateway.service.hub.book.epoch != before)
