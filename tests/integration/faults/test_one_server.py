"""One nats-server fails in every possible way: no client loses an event without a gap."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.gateway import Gateway
from tests.integration.faults.at_once import at_once, scenarios
from tests.integration.faults.scenario import PATIENCE, fault_scenario

__all__ = ["scenarios"]

SOON = 3.0
"""Promised seconds until the first event once NATS is back."""
FREEZE_SECONDS = 20.0


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


@at_once
async def test_clients_lose_no_event_when_nats_is_killed_and_restarted(tmp_path: Path) -> None:
    """Twice with a kill -9; the first event arrives within 3 s."""
    async with fault_scenario(tmp_path) as scenario:
        for _ in range(2):
            await scenario.flow()
            await asyncio.to_thread(scenario.server.kill)
            await asyncio.to_thread(scenario.server.start)
            assert await scenario.first_event(now()) < SOON
        await scenario.flow()
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0


@at_once
async def test_clients_stay_connected_while_nats_is_frozen_for_20_s(tmp_path: Path) -> None:
    """/health shows since when; the first event arrives within 3 s after the thaw."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow()
        frozen = time.time()
        scenario.server.freeze()
        try:
            async with asyncio.timeout(FREEZE_SECONDS):
                unwell = await health_until(scenario.gateway, 503)
                since = [check["since"] for check in unwell["checks"].values() if "since" in check]
                assert since
                assert all(abs(each / 1000 - frozen) < 3 for each in since)
            await asyncio.sleep(FREEZE_SECONDS - (time.time() - frozen))  # the freeze itself
        finally:
            scenario.server.thaw()
        assert await scenario.first_event(now()) < SOON
        await health_until(scenario.gateway, 200)
        await scenario.flow()
        verdict = await scenario.verdict()
        assert [witness.connections for witness in scenario.witnesses] == [1] * len(
            scenario.witnesses
        )
    assert verdict.clean, verdict
    assert verdict.gaps == 0


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
