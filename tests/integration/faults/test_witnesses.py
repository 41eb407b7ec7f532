"""The clients that watch a fault: each kind that we ship is among them."""

import os
from pathlib import Path

import pytest

from tests.browser.chromium import find
from tests.integration.faults.scenario import fault_scenario

NAMES = {
    "the protocol alone",
    "the Python client",
    "the Python client of all markets",
    "the Python client, resting",
}
BROWSER = {
    "the browser client",
    "the browser client of all markets",
    "the browser client, resting",
    "the browser client, returning",
}


async def test_each_client_that_we_ship_is_a_witness_of_a_fault(tmp_path: Path) -> None:
    """By name and through wildcards, also slow ones; without Chromium, all but the browser's."""
    async with fault_scenario(tmp_path) as scenario:
        await scenario.flow(20)
        verdict = await scenario.verdict()
    assert verdict.clean
    found = {witness.name for witness in scenario.witnesses}
    assert found - BROWSER == NAMES
    if find() is None and os.environ.get("CI") != "true":
        pytest.skip("the browser client is no witness: install Chromium, or set CHROMIUM")
    assert found >= BROWSER


async def test_clients_that_wait_for_their_rate_lose_nothing(tmp_path: Path) -> None:
    """Requests go out later than what they ask for; live events arrive in between."""
    async with fault_scenario(tmp_path, messages_per_second=1, message_burst=4) as scenario:
        await scenario.flow(400)
        assert (await scenario.verdict()).clean
