"""Runs a load test against a running gateway and its NATS, and returns the report."""

import asyncio
from collections.abc import Mapping
from typing import Any

from percolator.client.address import GatewayAddress
from percolator.config.settings import Settings
from percolator.jetstream.connect import hang_up
from percolator_cli import gateway
from percolator_cli.loadtest.plan import PER_ADDRESS, Plan, Thresholds
from percolator_cli.loadtest.progress import shown_progress
from percolator_cli.loadtest.report import report
from percolator_cli.loadtest.run import LoadTest
from percolator_cli.loadtest.sending import Sender, retire
from percolator_cli.publishing import reach


async def start(
    plan: Plan, at: GatewayAddress, settings: Settings, token: str | None, thresholds: Thresholds
) -> dict[str, Any]:
    """Run a load test, with a progress bar. Raises GatewayError, NatsError.

    The markets that it has created retire at the end, also if it is interrupted.
    """
    limits = await asyncio.to_thread(_limits, at, settings)
    client = await reach(settings, name="percolator loadtest")
    try:
        test = LoadTest(plan, at, Sender(client, plan), token)
        per_address = min(PER_ADDRESS, limits["maxConnectionsPerIp"] or PER_ADDRESS)
        with shown_progress() as on_progress:
            measured = await test.run(per_address, on_progress)
    finally:
        if plan.own:
            await retire(client, plan.slabs)
        await hang_up(client)
    return report(measured, at.http, limits, thresholds)


def _limits(at: GatewayAddress, settings: Settings) -> Mapping[str, int]:
    token = settings.stats_token.get_secret_value() if settings.stats_token else None
    return gateway.stats(at, token).limits.by_name
