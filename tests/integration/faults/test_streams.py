"""The stream drops events, is replaced or goes back: gaps cover exactly the missing events."""

import asyncio
import shutil
from pathlib import Path

from percolator.jetstream.stream import definition
from tests.gateway import eventually
from tests.integration.faults.at_once import at_once, scenarios
from tests.integration.faults.scenario import PATIENCE, STREAM, FaultScenario, fault_scenario
from tests.integration.faults.witness import Gap

__all__ = ["scenarios"]

LOSSLESS = 3
"""Number of channels with traffic on which a lost event needs a gap."""


@at_once
async def test_a_purge_causes_no_fault_when_clients_have_the_events(tmp_path: Path) -> None:
    """Events that were delivered already are not lost."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        await scenario.client.jetstream().purge_stream(STREAM)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict


@at_once
async def test_clients_get_a_gap_when_the_stream_is_purged_before_it_was_read(
    tmp_path: Path,
) -> None:
    """The gap covers only the purged events, and comes even if no event follows."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        scenario.line.close()
        await scenario.traffic.flowed(60)
        await scenario.client.jetstream().purge_stream(STREAM)
        scenario.line.open = True
        await gap_on_each_channel(scenario)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(scenario.witnesses)


async def gap_on_each_channel(scenario: FaultScenario) -> None:
    """Wait until each witness has a gap on each lossless channel."""
    await eventually(
        lambda: all(
            any(isinstance(item, Gap) for item in seen)
            for witness in scenario.witnesses
            for channel, seen in witness.seen.items()
            if not channel.startswith("price:")
        )
    )


@at_once
async def test_clients_get_a_gap_and_all_events_when_the_stream_is_recreated(
    tmp_path: Path,
) -> None:
    """The new incarnation starts with a gap on each channel."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        await replace(scenario)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(scenario.witnesses)


async def replace(scenario: FaultScenario) -> None:
    """Delete and recreate the stream; wait until the gateway has a new epoch."""
    context = scenario.client.jetstream()
    before = scenario.gateway.service.book.epoch
    async with scenario.traffic.paused():
        await context.delete_stream(STREAM)
        await context.add_stream(scenario.config)
        scenario.traffic.incarnation += 1
    await eventually(lambda: scenario.gateway.service.book.epoch != before)


@at_once
async def test_clients_get_a_gap_when_the_stream_runs_out_of_bytes(tmp_path: Path) -> None:
    """It drops the oldest events while the gateway is disconnected."""
    config = definition(STREAM).evolve(max_bytes=40_000)
    async with fault_scenario(tmp_path, config=config, rate=200) as scenario:
        await scenario.flow()
        scenario.line.close()
        await scenario.traffic.flowed(500)
        scenario.line.open = True
        await gap_on_each_channel(scenario)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(scenario.witnesses)


@at_once
async def test_only_busy_channels_get_a_gap_when_their_old_events_are_dropped(
    tmp_path: Path,
) -> None:
    """A channel that lost nothing gets no gap, although seqs are missing all over the stream."""
    config = definition(STREAM).evolve(max_msgs_per_subject=20, deny_delete=False)
    async with fault_scenario(
        tmp_path, config=config, rate=200, quiet=["trades:Q", "funding:Q"]
    ) as scenario:
        await scenario.flow()
        scenario.line.close()
        await scenario.traffic.publish("trades:Q")
        await scenario.traffic.flowed(300)
        scenario.line.open = True
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    quiet = [scenario.witnesses[0].seen[channel] for channel in ("trades:Q", "funding:Q")]
    assert not any(isinstance(item, Gap) for seen in quiet for item in seen)
    assert verdict.gaps >= LOSSLESS * len(scenario.witnesses)


@at_once
async def test_clients_get_a_gap_when_the_stream_goes_back(tmp_path: Path) -> None:
    """It was restored from a backup: its seqs repeat, for other events, in a new incarnation."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        async with scenario.traffic.paused():
            await restore_old_state(scenario)
            await new_epoch(scenario)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(scenario.witnesses)


@at_once
async def test_clients_get_a_gap_when_the_stream_goes_back_and_grows_again(tmp_path: Path) -> None:
    """It has more events than were read before, but different ones."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        async with scenario.traffic.paused():
            await restore_old_state(scenario)
            while scenario.traffic.published[-1].seq <= scenario.gateway.service.book.seq:
                await scenario.traffic.publish("trades:B")
            await new_epoch(scenario)
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == LOSSLESS * len(scenario.witnesses)


async def restore_old_state(scenario: FaultScenario) -> None:
    """Restore what the server held 100 events ago, with the gateway disconnected."""
    store, backup = scenario.server.folder / "store", scenario.server.folder / "backup"
    await asyncio.to_thread(scenario.server.terminate)
    shutil.copytree(store, backup)
    await asyncio.to_thread(scenario.server.start)
    for _ in range(100):
        await scenario.gateway.has_read((await scenario.traffic.publish("trades:A")).seq)
    scenario.line.close()
    await asyncio.to_thread(scenario.server.kill)
    shutil.rmtree(store)
    backup.rename(store)
    await asyncio.to_thread(scenario.server.start)
    scenario.traffic.incarnation += 1


async def new_epoch(scenario: FaultScenario) -> None:
    """Reconnect the gateway, and wait until it has a new epoch."""
    before = scenario.gateway.service.book.epoch
    scenario.line.open = True
    async with asyncio.timeout(PATIENCE):
        await eventually(lambda: scenario.gateway.service.book.epoch != before)
