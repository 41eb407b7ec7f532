"""The client for Python programs: what it asks a gateway for, and how it comes back."""

import asyncio

import pytest

from percolator import client as module
from percolator.client import State, follow
from tests.client import PATIENCE
from tests.nats_server import ReservedPort

A = "trades:A"


async def test_a_gateway_is_tried_again_however_long_it_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More often than a number can be doubled."""
    monkeypatch.setattr(module, "LONGEST_DELAY", 0.0)
    tries = 0
    enough = asyncio.Event()

    def told(state: State) -> None:
        nonlocal tries
        tries += state.name == "waiting"
        if tries > 1_100:
            enough.set()

    port = ReservedPort()
    messages = follow(f"ws://127.0.0.1:{port.number}", [A], on_state=told)
    reading = asyncio.ensure_future(anext(messages))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([reading, waiting], timeout=PATIENCE, return_when="FIRST_COMPLETED")
    port.release()
    assert (waiting.done(), reading.done()) == (True, False)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
