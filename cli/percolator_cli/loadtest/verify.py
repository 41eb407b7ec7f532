"""`percolator loadtest --verify-limits`: runs the checks against a running gateway."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from percolator.app.nats_source import nats_address
from percolator.client.address import GatewayAddress
from percolator.config.settings import Settings
from percolator.errors import NatsError
from percolator.jetstream.connect import connect
from percolator.model.channel import Channel
from percolator.model.kinds import TRADE
from percolator_cli import gateway
from percolator_cli.loadtest.limit_checks import LimitChecks
from percolator_cli.loadtest.limit_probe import LimitProbe
from percolator_cli.loadtest.limits import Verdict, verify
from percolator_cli.loadtest.plan import PER_ADDRESS, Plan, source_addresses
from percolator_cli.loadtest.sending import Sender, retire

FLOOD = 5_000
"""Events published to fill the buffers of a client that does not read."""


async def verify_limits(
    at: GatewayAddress, settings: Settings, token: str | None, on_verdict: Callable[[Verdict], None]
) -> list[Verdict]:
    """Test the limits of a gateway. Raises GatewayError."""
    secret = settings.stats_token.get_secret_value() if settings.stats_token else None

    async def stats() -> Mapping[str, Any]:
        return (await asyncio.to_thread(gateway.stats, at, secret)).by_name

    limits = (await stats())["limits"]
    per_address = min(PER_ADDRESS, limits["maxConnectionsPerIp"] or PER_ADDRESS)
    async with AsyncExitStack() as stack:
        flood = await _flood(settings, stack)

        def make_checks() -> LimitChecks:
            probe = LimitProbe(at, token, source_addresses(at.host, per_address))
            return LimitChecks(probe, limits, stats, flood)

        return await verify(make_checks, on_verdict, many_addresses=at.is_local)


async def _flood(
    settings: Settings, stack: AsyncExitStack
) -> Callable[[str], Awaitable[int]] | None:
    """Return a function that publishes many events of a market, or None if NATS does not answer."""
    try:
        client = await connect(nats_address(settings), name="percolator loadtest", reconnect=True)
    except NatsError:
        return None
    stack.push_async_callback(client.close)
    slabs: list[str] = []
    stack.push_async_callback(retire, client, slabs)

    async def flood(slab: str) -> int:
        slabs.append(slab)
        sender = Sender(client, Plan(1, (slab,), own=True, duration=1, rate=FLOOD, ramp=0))
        await sender.start()
        await sender.send(FLOOD)
        await sender.wait_for_acks(FLOOD)
        if sender.failure is not None:
            raise sender.failure
        return max(sender.seqs[Channel(TRADE, slab)])

    return flood
