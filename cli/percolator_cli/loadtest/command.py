"""`percolator loadtest`: checks the arguments, runs the test and prints the report."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from percolator.client.address import GatewayAddress, is_loopback
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import PercolatorError
from percolator.model.channel import ALL, SLAB
from percolator_cli import flags as given
from percolator_cli import gateway, output
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.loadtest import options
from percolator_cli.loadtest.plan import (
    Plan,
    Thresholds,
    own_slabs,
)
from percolator_cli.process import interruptible

FELL_SHORT = 3
"""Exit code if a threshold was exceeded or a limit did not hold."""


@given.with_settings(given.NATS)
def loadtest(
    *,
    flags: dict[str, Any],
    connections: options.Connections = 100,
    duration: options.Duration = 10.0,
    rate: options.Rate = 100.0,
    ramp: options.Ramp = 0.0,
    slabs: options.Slabs = 1,
    slab: options.Slab = None,
    all_markets: options.AllMarkets = False,
    force: options.Force = False,
    max_p99_ms: options.MaxP99 = None,
    max_lost: options.MaxLost = None,
    report: options.Report = None,
    verify_limits: options.VerifyLimits = False,
    as_json: given.Json = False,
    token: given.Token = None,
    url: given.Url = None,
) -> None:
    """Load-test a running gateway and check every message.

    Connects clients, publishes events through NATS, and reports latencies, rates, and events that
    were lost, duplicated or out of order. The events go to newly created markets, which retire at
    the end: of your own clients, only those that follow all markets see them. If the gateway is on
    this machine, the clients use many loopback addresses, so its limits per IP address apply as in
    production.
    """
    settings = load(flags).settings
    plan = _plan(connections, slabs, tuple(slab or ()), duration, rate, ramp)
    plan = replace(plan, all_markets=all_markets)
    if not plan.own and not force:
        _stay_home(settings)
    at = gateway.address(url, settings)
    if report is not None:
        _check_writable(report)
    if verify_limits:
        _verify(at, settings, token, as_json=as_json)
        return
    from percolator_cli.loadtest.start import start  # noqa: PLC0415 - not needed for --help

    interruptible()
    result = asyncio.run(start(plan, at, settings, token, Thresholds(max_p99_ms, max_lost)))
    if report is not None:
        _write(report, result)
    if as_json:
        print(json.dumps(result))
    else:
        _show(result)
    if not result["passed"]:
        raise typer.Exit(FELL_SHORT)


command = single(
    loadtest,
    examples(
        "percolator loadtest",
        "percolator loadtest --connections 1000 --slabs 10 --rate 500 --duration 30",
        "percolator loadtest --slabs 500 --all-markets --rate 500",
        "percolator loadtest --verify-limits",
        "percolator loadtest --max-p99-ms 50 --max-lost 0 --json   # for CI",
    ),
)


def _verify(at: GatewayAddress, settings: Settings, token: str | None, *, as_json: bool) -> None:
    """Test the limits and print each verdict as soon as it is known."""
    from percolator_cli.loadtest.verify import verify_limits  # noqa: PLC0415 - imports websockets
    from percolator_cli.render.limits import line  # noqa: PLC0415

    def on_verdict(verdict: Any) -> None:  # noqa: ANN401 - as above
        if not as_json:
            output.show(partial(line, verdict))

    interruptible()
    verdicts = asyncio.run(verify_limits(at, settings, token, on_verdict))
    if as_json:
        print(json.dumps([verdict._asdict() for verdict in verdicts]))
    if any(verdict.held is False for verdict in verdicts):
        raise typer.Exit(FELL_SHORT)


def _plan(  # noqa: PLR0917 - the command's own options
    connections: int,
    slabs: int,
    named: tuple[str, ...],
    duration: float,
    rate: float,
    ramp: float,
) -> Plan:
    if ALL in named:
        raise WrongUsageError("--slab takes one market: for all of them, use --all-markets")
    for each in named:
        if not SLAB.fullmatch(each):
            raise WrongUsageError(
                f"--slab {each[:64]!r} is not a valid market name "
                "(letters, digits, _ and -, up to 64)"
            )
    if named and slabs > 1:
        raise WrongUsageError("--slabs creates markets and --slab uses existing ones: use only one")
    return Plan(connections, named or own_slabs(slabs), not named, duration, rate, ramp)


def _stay_home(settings: Settings) -> None:
    """Keep made-up events from real clients, who may use a NATS that is not on this machine."""
    from percolator.app.nats_source import nats_address  # noqa: PLC0415 - imports NATS

    address = nats_address(settings)
    hosts = [urlsplit(server.url).hostname for server in address.servers]
    if not all(host and is_loopback(host) for host in hosts):
        raise WrongUsageError(
            f"all clients of the market on {address.shown} would get made-up events: "
            "remove --slab, or add --force"
        )


def _show(result: Mapping[str, Any]) -> None:
    from percolator_cli.render.loadtest import shown  # noqa: PLC0415 - imports rich

    output.show(partial(shown, result))


def _check_writable(path: Path) -> None:
    """Raise PercolatorError before the test, not after it, if the report cannot be written."""
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise PercolatorError(f"the report cannot be written to {path}: choose another --report")


def _write(path: Path, result: Mapping[str, Any]) -> None:
    """Write the HTML page. Raises PercolatorError."""
    from percolator_cli.render.page import page  # noqa: PLC0415 - needed only for --report

    try:
        path.write_text(page(result, time.strftime("%d %B %Y, %H:%M")), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PercolatorError(f"the report cannot be written to {path}: {reason}") from None
