"""`percolator loadtest --verify-limits`: limits that hold, and those that do not."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from percolator_cli.gateway import address
from percolator_cli.loadtest.limit_probe import LimitProbe
from percolator_cli.loadtest.limits import CHECKS, Limits, Verdict, verify
from percolator_cli.loadtest.plan import source_addresses
from tests.cli.program import Program, get

SMALL = {
    "--max-connections": 12,
    "--max-connections-per-slab": 6,
    "--max-connections-per-ip": 3,
    "--max-channels-per-client": 22,
    "--max-message-bytes": 700,
    "--message-burst": 12,
    "--messages-per-second": 1,
    "--attempt-burst": 8,
    "--attempts-per-second": 1,
    "--subscribe-timeout": 1,
}
FLAGS = [part for flag, value in SMALL.items() for part in (flag, str(value))]


def test_each_limit_of_a_gateway_is_walked_up_to_and_past(percolator: Program) -> None:
    """One line each, in JSON one object each; all of them hold."""
    with percolator.gateway(*FLAGS) as gateway:
        done = percolator.run("loadtest", "--verify-limits", "--url", gateway.ws, "--json")
        assert (done.code, done.err) == (0, "")
        assert [each["name"] for each in done.json] == list(CHECKS)
        assert {each["name"] for each in done.json if not each["held"]} == set(), done.json


def test_a_limit_that_is_switched_off_is_not_tried(percolator: Program) -> None:
    """And none of them fails for it; what is printed is for people."""
    flags = {*SMALL, "--max-buffered-bytes"} - {"--message-burst", "--attempt-burst"}
    off = [part for flag in flags for part in (flag, "0")]
    with percolator.gateway(*off) as gateway:
        done = percolator.run("loadtest", "--verify-limits", "--url", gateway.ws)
    assert done.code == 0
    assert done.out.count("switched off") == len(done.out.splitlines()) == len(CHECKS)


def claimed(url: str, limits: Mapping[str, float]) -> list[Verdict]:
    """Verify limits of which somebody only claims that a gateway has them."""
    at = address(url, None)  # type: ignore[arg-type] # with a URL, the settings are not asked

    async def stats() -> Mapping[str, Any]:
        found: Mapping[str, Any] = await asyncio.to_thread(get, f"{at.http}/ws/stats")
        return found

    def make_limits() -> Limits:
        return Limits(LimitProbe(at, None, source_addresses(at.host, 3)), limits, stats, None)

    return asyncio.run(verify(make_limits, lambda _verdict: None, from_anywhere=True))


@pytest.mark.parametrize("more", [1, -1])
def test_a_limit_that_does_not_hold_is_found(percolator: Program, more: int) -> None:
    """Neither one that lets too many through, nor one that lets too few."""
    with percolator.gateway(*FLAGS) as gateway:
        limits = {
            **dict.fromkeys(("messagesPerSec", "attemptsPerSec"), 1),
            "maxConnectionsPerIp": 3 + more,
            "maxConnectionsPerSlab": 6 + more,
            "maxGlobalConnections": 12 + more,
            "maxChannelsPerClient": 22 + more,
            "maxMessageBytes": 700 + more,
            "subscribeTimeoutSeconds": 1 + 10 * (more > 0),
            "messageBurst": 12 + 10 * more,
            "attemptBurst": 8 + 20 * more if more > 0 else 1,
        }
        verdicts = {each.name: each.held for each in claimed(gateway.ws, limits)}
    assert verdicts.pop("bytes that wait for a client") is None
    if more < 0:
        assert verdicts.pop("time for the first message")
    assert verdicts.keys() < CHECKS.keys()
    assert set(verdicts.values()) == {False}, verdicts
