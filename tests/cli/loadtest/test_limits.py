"""`percolator loadtest --verify-limits`: limits that hold, and those that do not."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from percolator_cli.gateway import address
from percolator_cli.loadtest.limit_checks import LimitChecks
from percolator_cli.loadtest.limit_probe import LimitProbe
from percolator_cli.loadtest.limits import CHECKS, Verdict, verify
from percolator_cli.loadtest.plan import source_addresses
from tests.cli.program import Program, get

SMALL = {
    "--max-connections": 12,
    "--max-connections-per-slab": 6,
    "--max-wildcard-connections": 5,
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


def test_verify_limits_tests_every_limit_of_a_gateway(percolator: Program) -> None:
    """All of them hold, and JSON has one object per limit."""
    with percolator.gateway(*FLAGS) as gateway:
        done = percolator.run("loadtest", "--verify-limits", "--url", gateway.ws, "--json")
        assert (done.code, done.err) == (0, "")
        assert [each["name"] for each in done.json] == list(CHECKS)
        assert {each["name"] for each in done.json if not each["held"]} == set(), done.json


def test_verify_limits_skips_limits_that_are_disabled(percolator: Program) -> None:
    """A skipped limit is not a failure, and each one has a line for people."""
    flags = {*SMALL, "--max-buffered-bytes"} - {"--message-burst", "--attempt-burst"}
    off = [part for flag in flags for part in (flag, "0")]
    with percolator.gateway(*off) as gateway:
        done = percolator.run("loadtest", "--verify-limits", "--url", gateway.ws)
    assert done.code == 0
    assert done.out.count("disabled") == len(done.out.splitlines()) == len(CHECKS)


def claimed(url: str, limits: Mapping[str, float]) -> list[Verdict]:
    """Test limits that a gateway only claims to have."""
    at = address(url, None)  # type: ignore[arg-type] # with a URL, the settings are not used

    async def stats() -> Mapping[str, Any]:
        found: Mapping[str, Any] = await asyncio.to_thread(get, f"{at.http}/ws/stats")
        return found

    def make_checks() -> LimitChecks:
        return LimitChecks(LimitProbe(at, None, source_addresses(at.host, 3)), limits, stats, None)

    return asyncio.run(verify(make_checks, lambda _verdict: None, many_addresses=True))


@pytest.mark.parametrize("more", [1, -1])
def test_verify_limits_finds_limits_that_do_not_hold(percolator: Program, more: int) -> None:
    """A limit may accept too many or too few."""
    with percolator.gateway(*FLAGS) as gateway:
        limits = {
            **dict.fromkeys(("messagesPerSec", "attemptsPerSec"), 1),
            "maxConnectionsPerIp": 3 + more,
            "maxConnectionsPerSlab": 6 + more,
            "maxWildcardConnections": 5 + more,
            "maxGlobalConnections": 12 + more,
            "maxChannelsPerClient": 22 + more,
            "maxMessageBytes": 700 + more,
            "subscribeTimeoutSeconds": 1 + 10 * (more > 0),
            "messageBurst": 12 + 10 * more,
            "attemptBurst": 8 + 20 * more if more > 0 else 1,
        }
        verdicts = {each.name: each.held for each in claimed(gateway.ws, limits)}
    assert verdicts.pop("buffered bytes per client") is None
    if more < 0:
        assert verdicts.pop("time to first message, s")
    assert verdicts.keys() < CHECKS.keys()
    assert set(verdicts.values()) == {False}, verdicts
