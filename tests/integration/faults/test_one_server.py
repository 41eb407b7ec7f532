"""One nats-server that fails in every way that it can: nobody loses an event unsaid."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.gateway import Gateway
from tests.integration.faults.at_once import at_once, scenes
from tests.integration.faults.scenario import PATIENCE, scene

__all__ = ["scenes"]

SOON = 3.0
"""Seconds until the first event, once NATS is back: this is promised."""
FREEZE_SECONDS = 20.0


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


@at_once
async def test_nats_is_killed_and_started_again(tmp_path: Path) -> None:
    """With kill -9, twice; the first event is there within 3 s."""
    async with scene(tmp_path) as play:
        for _ in range(2):
            await play.flow()
            await asyncio.to_thread(play.server.kill)
            await asyncio.to_thread(play.server.start)
            assert await play.first_event(now()) < SOON
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0


@at_once
async def test_nats_is_frozen_for_20_s(tmp_path: Path) -> None:
    """/health says since when; no client is disconnected; the first event is there within 3 s."""
    async with scene(tmp_path) as play:
        await play.flow()
        frozen = time.time()
        play.server.freeze()
        try:
            async with asyncio.timeout(FREEZE_SECONDS):
                unwell = await health_until(play.gateway, 503)
                since = [check["since"] for check in unwell["checks"].values() if "since" in check]
                assert since
                assert all(abs(each / 1000 - frozen) < 3 for each in since)
            await asyncio.sleep(FREEZE_SECONDS - (time.time() - frozen))  # as long as it takes
        finally:
            play.server.thaw()
        assert await play.first_event(now()) < SOON
        await health_until(play.gateway, 200)
        await play.flow()
        verdict = await play.verdict()
        assert [witness.connections for witness in play.witnesses] == [1] * len(play.witnesses)
    assert verdict.clean, verdict
    assert verdict.gaps == 0


async def health_until(gateway: Gateway, wanted: int) -> dict[str, Any]:
    """Ask after the gateway's health until it answers with a status."""
    while True:
        status, _, body = await gateway.get("/health")
        if status == wanted:
            found: dict[str, Any] = json.loads(body)
            return found
        await asyncio.sleep(0.05)


@at_once
async def test_the_connection_to_nats_is_cut_in_the_middle_of_a_message(tmp_path: Path) -> None:
    """In an event, in a subject, in an answer to a request, in a heartbeat."""
    async with scene(tmp_path) as play:
        async with asyncio.timeout(PATIENCE):
            await play.flow()
            for inside in (b'"side"', b"percolator.trade.A", b"$JS.ACK."):
                await play.line.cut_inside(inside)
                await play.flow(20)
            cut = asyncio.create_task(play.line.cut_inside(b"consumer_create_response"))
            play.line.cut()
            await cut
            await play.flow(20)
            async with play.traffic.held_up():
                await play.line.cut_inside(b"Idle Heartbeat")
            await play.flow(20)
        verdict = await play.verdict()
    assert len(play.line.calls) >= 7
    assert verdict.clean, verdict
    assert verdict.gaps == 0


@at_once
async def test_the_connection_to_nats_is_slow(tmp_path: Path) -> None:
    """Each way takes 0.2 s, also when it begins; then nothing comes through for some seconds."""
    async with scene(tmp_path) as play:
        await play.flow()
        play.line.delay = 0.2
        await play.flow()
        play.line.cut()
        await play.flow()
        play.line.delay = 4.0
        await play.traffic.flowed(200)
        play.line.delay = 0.0
        await play.flow()
        verdict = await play.verdict()
    assert verdict.clean, verdict
    assert verdict.gaps == 0
