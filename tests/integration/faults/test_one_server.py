"""One nats-server fails in every possible way: no client loses an event without a gap."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.gateway import Gateway
from tests.integration.faults import figures
from tests.integration.faults.at_once import at_once, scenarios
from tests.integration.faults.scenario import PATIENCE, FaultScenario, fault_scenario

__all__ = ["scenarios"]

FREEZE_SECONDS = 20.0


async def the_next_event_comes(scenario: FaultScenario, fault: str) -> None:
    """Wait until every witness has an event that came after this moment."""
    now = asyncio.get_running_loop().time()
    seconds = await scenario.first_event(now)
    figures.SECONDS[f"the first event after {fault}"].append(seconds)


@at_once
async def test_clients_lose_no_event_when_nats_is_killed_and_restarted(tmp_path: Path) -> None:
    """Twice with a kill -9; events come again by themselves."""
    async with fault_scenario(tmp_path) as scenario:
        for _ in range(2):
            await scenario.flow()
            await asyncio.to_thread(scenario.server.kill)
            await asyncio.to_thread(scenario.server.start)
            await the_next_event_comes(scenario, "a start")
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0


@at_once
async def test_clients_stay_connected_while_nats_is_frozen_for_20_s(tmp_path: Path) -> None:
    """/health names the last sign of life, and events come again after the thaw."""
    async with fault_scenario(tmp_path) as scenario:
        began = time.time()
        await scenario.flow()
        frozen = time.time()
        scenario.server.freeze()
        try:
            async with asyncio.timeout(PATIENCE):
                first = await silent_since(scenario.gateway)
            noticed = time.time()
            await asyncio.sleep(FREEZE_SECONDS - (noticed - frozen))  # the freeze itself
            last = await silent_since(scenario.gateway)
        finally:
            scenario.server.thaw()
        assert all(began <= each <= noticed for each in (*first, *last)), (began, noticed, last)
        await the_next_event_comes(scenario, "a thaw")
        await health_until(scenario.gateway, 200)
        await scenario.flow()
        verdict = await scenario.verdict()
        assert [witness.connections for witness in scenario.witnesses] == [1] * len(
            scenario.witnesses
        )
    assert verdict.clean, verdict
    assert verdict.gaps == 0


async def silent_since(gateway: Gateway) -> list[float]:
    """Wait until the gateway is unwell; return since when, in Unix seconds, by each of its checks.

    Health gives whole milliseconds, so a moment may seem to be one earlier than it was.
    """
    checks = (await health_until(gateway, 503))["checks"].values()
    since = [(check["since"] + 1) / 1000 for check in checks if "since" in check]
    assert since
    return since


async def health_until(gateway: Gateway, wanted: int) -> dict[str, Any]:
    """Request the gateway's health until it answers with a status."""
    while True:
        status, _, body = await gateway.get("/health")
        if status == wanted:
            found: dict[str, Any] = json.loads(body)
            return found
        await asyncio.sleep(0.05)


@at_once
async def test_clients_lose_no_event_when_the_nats_connection_is_cut_inside_a_message(
    tmp_path: Path,
) -> None:
    """In an event, a subject, the answer to a request, or a heartbeat."""
    async with fault_scenario(tmp_path) as scenario:
        async with asyncio.timeout(PATIENCE):
            await scenario.flow()
            for inside in (b'"side"', b"percolator.trade.A", b"$JS.ACK."):
                await scenario.line.cut_inside(inside)
                await scenario.flow(20)
            cut = asyncio.create_task(scenario.line.cut_inside(b"consumer_create_response"))
            scenario.line.cut()
            await cut
            await scenario.flow(20)
            async with scenario.traffic.paused():
                await scenario.line.cut_inside(b"Idle Heartbeat")
            await scenario.flow(20)
        verdict = await scenario.verdict()
    assert len(scenario.line.calls) >= 7
    assert verdict.clean, verdict
    assert verdict.gaps == 0


@at_once
async def test_clients_lose_no_event_when_the_nats_connection_is_slow(tmp_path: Path) -> None:
    """0.2 s per direction, also on connect; then nothing arrives for some seconds."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        scenario.line.delay = 0.2
        await scenario.flow()
        scenario.line.cut()
        await scenario.flow()
        scenario.line.delay = 4.0
        await scenario.traffic.flowed(200)
        scenario.line.delay = 0.0
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
