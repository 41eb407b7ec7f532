"""Tests each limit of a running gateway and reports whether it holds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from percolator_cli.loadtest.limit_checks import LimitChecks, RefusedError

MAX_WAIT_SECONDS = 300.0
"""A longer time limit is not tested."""


MAX_RATE_WAIT_SECONDS = 4.0
"""The same for a rate at which each message takes longer."""


class Verdict(NamedTuple):
    """Whether a limit held (None: it could not be tested), and what was observed."""

    name: str
    limit: float
    held: bool | None
    seen: str


MAX_BYTES, MAX_COUNT = 2**24, 2**17
"""A higher limit is not tested: it would take this machine's memory or descriptors."""

Check = Callable[[LimitChecks], Awaitable[tuple[bool, str]]]
CHECKS: dict[str, tuple[str, Check]] = {
    "connections per IP address": ("maxConnectionsPerIp", LimitChecks.per_address),
    "clients per market": ("maxConnectionsPerSlab", LimitChecks.per_slab),
    "clients of all markets": ("maxWildcardConnections", LimitChecks.wildcards),
    "connections in total": ("maxGlobalConnections", LimitChecks.total),
    "channels per client": ("maxChannelsPerClient", LimitChecks.channels),
    "message size, bytes": ("maxMessageBytes", LimitChecks.message_size),
    "message burst": ("messageBurst", LimitChecks.message_burst),
    "connection attempt burst": ("attemptBurst", LimitChecks.attempt_burst),
    "buffered bytes per client": ("maxBufferedBytes", LimitChecks.slow_client),
    "time to first message, s": ("subscribeTimeoutSeconds", LimitChecks.first_message),
}
"""By name for people: the limit's name in the gateway's stats, and its check."""
RATES = {"messageBurst": "messagesPerSec", "attemptBurst": "attemptsPerSec"}
"""A burst is unlimited if this rate is 0."""
NEEDS_ADDRESSES = {"maxConnectionsPerSlab", "maxWildcardConnections", "maxGlobalConnections"}
"""Limits that can be reached only from many IP addresses."""


async def verify(
    make_checks: Callable[[], LimitChecks],
    on_verdict: Callable[[Verdict], None],
    *,
    many_addresses: bool,
) -> list[Verdict]:
    """Test the limits one after the other, except the last, which is slow and runs alongside.

    `many_addresses` is true if connections can come from many IP addresses.
    """

    async def test(name: str) -> Verdict:
        key, check = CHECKS[name]
        checks = make_checks()
        limit = checks.limits.get(key, 0)
        reason = _skip_reason(key, checks, many_addresses=many_addresses)
        if reason:
            verdict = Verdict(name, limit, None, reason)
        else:
            async with checks.probe:
                try:
                    verdict = Verdict(name, limit, *await check(checks))
                except RefusedError as refused:
                    verdict = Verdict(name, limit, held=False, seen=f"cannot connect: {refused}")
        on_verdict(verdict)
        return verdict

    *names, slow = CHECKS
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(test(slow))
        verdicts = [await test(name) for name in names]
    return [*verdicts, waiting.result()]


def _skip_reason(key: str, checks: LimitChecks, *, many_addresses: bool) -> str:
    """Return why a limit cannot be tested, or an empty string if it can."""
    rate = checks.limits.get(RATES.get(key, key))
    if not checks.limits.get(key) or not rate:
        return "disabled"
    if key == "maxBufferedBytes" and checks.flood is None:
        return "not tested: needs a reachable NATS"
    if key in NEEDS_ADDRESSES and not many_addresses:
        return "not tested: needs many IP addresses, so the gateway must be on this machine"
    if checks.limits[key] > (MAX_BYTES if key.endswith("Bytes") else MAX_COUNT):
        return "not tested: too high to reach"
    too_slow = key == "messageBurst" and rate * MAX_RATE_WAIT_SECONDS < 1
    if too_slow or (key == "subscribeTimeoutSeconds" and checks.limits[key] > MAX_WAIT_SECONDS):
        return "not tested: takes too long"
    return ""
