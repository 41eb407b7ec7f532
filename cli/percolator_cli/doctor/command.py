"""`percolator doctor`: examines, diagnoses and prints the findings."""

import asyncio
import json
from functools import partial
from typing import Annotated, Any

import typer

from percolator.config.sources import load
from percolator_cli import flags as given
from percolator_cli import gateway, output
from percolator_cli.command import examples, single
from percolator_cli.process import interruptible


@given.with_settings(given.NATS)
def doctor(
    channels: Annotated[
        list[str] | None,
        typer.Argument(
            help="Channels that should have data, such as trades:SOL.", metavar="CHANNEL"
        ),
    ] = None,
    *,
    flags: dict[str, Any],
    token: given.Token = None,
    as_json: given.Json = False,
    url: given.Url = None,
) -> None:
    """Diagnose why no data arrives.

    Checks NATS, JetStream, the stream and the age of its events, and the gateway with its health,
    limits, feed and clock. Subscribes to the channels that are named, and says which of them are
    refused or have no event yet. Each problem comes with advice. The exit code is 1 if there is
    a problem.
    """
    from percolator_cli.doctor.diagnose import diagnose  # noqa: PLC0415 - imports NATS and websockets
    from percolator_cli.doctor.examine import examine  # noqa: PLC0415
    from percolator_cli.render.doctor import table  # noqa: PLC0415

    names = list(dict.fromkeys(channels or ()))
    given.check_channels(names)
    settings = load(flags).settings
    interruptible()
    facts = asyncio.run(examine(settings, gateway.address(url, settings), token, names))
    findings = diagnose(facts)
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        output.show(partial(table, findings))
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(1)


command = single(
    doctor,
    examples(
        "percolator doctor",
        "percolator doctor price:SOL trades:SOL --url wss://feed.example.org",
    ),
)
