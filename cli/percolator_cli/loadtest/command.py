"""`percolator loadtest`: what is asked for, checked, run and shown."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import PercolatorError
from percolator.model.events import SLAB
from percolator_cli import flags as given
from percolator_cli import gateway, output
from percolator_cli.app import interruptible
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.gateway import GatewayAddress
from percolator_cli.loadtest import options
from percolator_cli.loadtest.plan import (
    Plan,
    Thresholds,
    is_loopback,
    own_slabs,
)

FELL_SHORT = 3


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
    force: options.Force = False,
    max_p99_ms: options.MaxP99 = None,
    max_lost: options.MaxLost = None,
    report: options.Report = None,
    verify_limits: options.VerifyLimits = False,
    as_json: given.Json = False,
    token: given.Token = None,
    url: given.Url = None,
) -> None:
    """Load a running gateway with clients that check every message.

    Opens the connections, publishes events through NATS and reports latencies, rates, and what
    was lost, doubled or out of order. The events go to markets of the test's own, so that no
    client of yours sees them. On this machine the clients come from many loopback addresses, so
    that the gateway's limits hold as in life.
    """
    settings = load(flags).settings
    plan = _plan(connections, slabs, tuple(slab or ()), duration, rate, ramp)
    if not plan.own and not force:
        _stay_home(settings)
    at = gateway.address(url, settings)
    if report is not None:
        _check_writable(report)
    if verify_limits:
        _verify(at, settings, token, as_json=as_json)
        return
    from percolator_cli.loadtest.start import start  # noqa: PLC0415 - what --help need not wait for

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
        "percolator loadtest --verify-limits",
        "percolator loadtest --max-p99-ms 50 --max-lost 0 --json   # for CI: exit code 3",
    ),
)


def _verify(at: GatewayAddress, settings: Settings, token: str | None, *, as_json: bool) -> None:
    """Say of each limit whether it held, as soon as that is known."""
    from percolator_cli.loadtest.verify import verify_limits  # noqa: PLC0415 - brings websockets
    from percolator_cli.render.limits import line  # noqa: PLC0415

    def tell(verdict: Any) -> None:  # noqa: ANN401 - as above
        if not as_json:
            output.show(partial(line, verdict))

    interruptible()
    verdicts = asyncio.run(verify_limits(at, settings, token, tell))
    if as_json:
        print(json.dumps([verdict._asdict() for verdict in verdicts]))
    if any(verdict.held is False for verdict in verdicts):
        raise typer.Exit(FELL_SHORT)


def _plan(  # noqa: PLR0917 - as they were asked for
    connections: int,
    slabs: int,
    named: tuple[str, ...],
    duration: float,
    rate: float,
    ramp: float,
) -> Plan:
    for each in named:
        if not SLAB.fullmatch(each):
            raise WrongUsageError(
                f"--slab {each[:64]} is no market: [A-Za-z0-9_-], 1 to 64 of them"
            )
    if named and slabs > 1:
        raise WrongUsageError("--slabs makes markets of the test's own: leave it or --slab out")
    return Plan(connections, named or own_slabs(slabs), not named, duration, rate, ramp)


def _stay_home(settings: Settings) -> None:
    """Keep made-up events from the clients of a market that is not on this machine alone."""
    from percolator_cli.publishing import nats_address  # noqa: PLC0415 - brings NATS

    address = nats_address(settings)
    hosts = [
        urlsplit(part if "://" in part else f"//{part}").hostname for part in address.url.split(",")
    ]
    if not all(host and is_loopback(host) for host in hosts):
        raise WrongUsageError(
            f"every client of the market would see the made-up events on {address.shown}: "
            "leave --slab out, or say --force"
        )


def _show(result: Mapping[str, Any]) -> None:
    from percolator_cli.render.loadtest import shown  # noqa: PLC0415 - brings rich

    output.show(partial(shown, result))


def _check_writable(path: Path) -> None:
    """Find out before the test, not after it, that there is no place for its report."""
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise PercolatorError(f"the report cannot be written to {path}: choose another --report")


def _write(path: Path, result: Mapping[str, Any]) -> None:
    """Write the page. Raises PercolatorError."""
    from percolator_cli.render.page import page  # noqa: PLC0415 - for those who ask for it

    try:
        path.write_text(page(result, time.strftime("%d %B %Y, %H:%M")), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PercolatorError(f"the report cannot be written to {path}: {reason}") from None
