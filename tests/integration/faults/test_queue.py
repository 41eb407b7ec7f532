"""The client library's queue overflows: it silently drops the messages that do not fit."""

import asyncio
from pathlib import Path

import pytest

from percolator.jetstream import consumer
from tests.integration.faults.scenario import fault_scenario

BURST = 300


async def test_clients_lose_no_event_when_the_queue_overflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed reads them again. Not concurrent: all feeds of the process share the patch."""
    monkeypatch.setattr(consumer, "PENDING_MESSAGES", 20)
    async with fault_scenario(tmp_path) as scenario:
        feed = scenario.gateway.service.feed
        assert feed is not None
        for _ in range(2):
            await scenario.flow(20)
            before = feed.restarts
            await asyncio.gather(*(scenario.traffic.publish("trades:A") for _ in range(BURST)))
            await scenario.flow(20)
            assert feed.restarts > before
        verdict = await scenario.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
