"""The client library's queue overflows: it drops what does not fit, and says nothing of it."""

import asyncio
from pathlib import Path

import pytest

from percolator.jetstream import consumer
from tests.integration.faults.scenario import scene

BURST = 300


async def test_the_queue_overflows_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was dropped is read again. Alone, since all feeds of the process share the setting."""
    monkeypatch.setattr(consumer, "PENDING_MESSAGES", 20)
    async with scene(tmp_path) as play:
        feed = play.gateway.service.feed
        assert feed is not None
        for _ in range(2):
            await play.flow(20)
            before = feed.restarts
            await asyncio.gather(*(play.traffic.publish("trades:A") for _ in range(BURST)))
            await play.flow(20)
            assert feed.restarts > before
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
