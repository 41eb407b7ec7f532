"""`percolator publish`: one event to JetStream, acknowledged. Files and the demo have their own."""

import asyncio
import json
import time
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from percolator.config.sources import load
from percolator.errors import EventError
from percolator.model import events
from percolator.model.events import Kind
from percolator_cli import flags as given
from percolator_cli.app import complain, interruptible
from percolator_cli.command import Command, Group, WrongUsageError, examples

command = typer.Typer(
    name="publish",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Publish events to JetStream.",
    epilog=examples(
        "percolator publish price SOL 1.5",
        "percolator publish trade SOL long 1000000 1.5",
        "percolator publish funding SOL 0.0001",
    ),
)

Slab = Annotated[
    str, typer.Argument(help="The market: letters, digits, _ and -, up to 64.", metavar="SLAB")
]
Timestamp = Annotated[
    int | None,
    typer.Option(help="When it happened, in Unix milliseconds (default: now).", metavar="MS"),
]
Price = Annotated[str, typer.Argument(help="The price in USD, more than 0.", metavar="PRICE")]
Flags = dict[str, Any]


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish price SOL 1.5",
        "percolator publish price SOL 1.5 --mark 1.51 --index 1.49",
    ),
)
@given.with_settings(given.NATS)
def price(
    slab: Slab,
    price: Price,
    *,
    flags: Flags,
    mark: Annotated[str | None, typer.Option(help="The mark price in USD.", metavar="X")] = None,
    index: Annotated[str | None, typer.Option(help="The index price in USD.", metavar="X")] = None,
    timestamp: Timestamp = None,
    as_json: given.Json = False,
) -> None:
    """Publish a market's price."""
    fields: dict[str, Any] = {"price": _number(price)}
    for name, value in (("markPrice", mark), ("indexPrice", index)):
        if value is not None:
            fields[name] = _number(value)
    _publish("price", slab, fields, timestamp, flags, as_json=as_json)


@command.command(cls=Command, epilog=examples("percolator publish trade SOL long 1000000 1.5"))
@given.with_settings(given.NATS)
def trade(
    slab: Slab,
    side: Annotated[
        str,
        typer.Argument(
            help="The side of the taker.",
            metavar="long|short",
            autocompletion=lambda: ["long", "short"],
        ),
    ],
    size: Annotated[
        str, typer.Argument(help="The size in base units, a whole number.", metavar="SIZE")
    ],
    price: Price,
    *,
    flags: Flags,
    timestamp: Timestamp = None,
    as_json: given.Json = False,
) -> None:
    """Publish a trade."""
    fields = {"side": side, "size": size, "price": _number(price)}
    _publish("trade", slab, fields, timestamp, flags, as_json=as_json)


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish funding SOL 0.0001", "percolator publish funding SOL -2e-4"
    ),
)
@given.with_settings(given.NATS)
def funding(
    slab: Slab,
    rate: Annotated[
        str, typer.Argument(help="The funding rate; it may be negative.", metavar="RATE")
    ],
    flags: Flags,
    timestamp: Timestamp = None,
    as_json: given.Json = False,
) -> None:
    """Publish a market's funding rate."""
    _publish("funding", slab, {"rate": _decimal(rate)}, timestamp, flags, as_json=as_json)


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish file events.jsonl",
        "percolator publish file events.jsonl --rate 100",
        "zcat events.jsonl.gz | percolator publish file -",
    ),
)
@given.with_settings(given.NATS)
def file(
    path: Annotated[
        str, typer.Argument(help="The file; - is standard input.", metavar="PATH", allow_dash=True)
    ],
    *,
    flags: Flags,
    rate: Annotated[
        float | None, typer.Option(help="Events a second, at the most.", metavar="N", min=0.001)
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Publish all of it, also what was published just before.")
    ] = False,
    as_json: given.Json = False,
) -> None:
    """Publish a file of events, one JSON object a line.

    Each line has type, slab and what that type needs; a timestamp that is missing is now. A bad
    line is named and skipped, and the exit code is then 1. The events carry message ids: whoever
    publishes a file again within two minutes, since it was interrupted, publishes what is missing.
    """
    from percolator_cli import publish_file as publishing  # noqa: PLC0415 - brings NATS
    from percolator_cli.bars import publishing_bar  # noqa: PLC0415
    from percolator_cli.lines import size_of  # noqa: PLC0415

    settings = load(flags).settings
    outcome = publishing.Outcome()
    interruptible()
    try:
        with publishing_bar(size_of(path), lambda: (outcome.read, outcome.published)) as tell:
            asyncio.run(
                publishing.publish_file(settings, path, outcome, rate=rate, anew=anew, tell=tell)
            )
    except KeyboardInterrupt:
        complain(
            f"stopped: {publishing.summary(outcome)}; the same command goes on where it stopped, "
            "for two minutes"
        )
        raise
    typer.echo(publishing.printed(outcome) if as_json else publishing.summary(outcome))
    if outcome.bad:
        raise typer.Exit(1)


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish demo",
        "percolator publish demo --speed 10 --loop --slabs 20",
    ),
)
@given.with_settings(given.NATS)
def demo(
    *,
    flags: Flags,
    speed: Annotated[
        float, typer.Option(help="Times its own pace; 0 is as fast as it goes.", metavar="X", min=0)
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, until Ctrl-C.")] = False,
    slabs: Annotated[
        int, typer.Option(help="Markets: BTC and ETH, then shifted copies.", metavar="N", min=1)
    ] = 2,
) -> None:
    """Publish a recorded market: six minutes of trades and prices, with their bursts.

    The funding rates in it are made up, one a minute for each market.
    """
    from percolator_cli.publish_demo import Demo  # noqa: PLC0415 - brings NATS

    playing = Demo()
    interruptible()
    try:
        asyncio.run(playing.play(load(flags).settings, speed=speed, loop=loop, slabs=slabs))
    except KeyboardInterrupt:
        complain(f"stopped: published {playing.published:,} events")
        raise
    typer.echo(f"published {playing.published:,} events")


def _number(text: str) -> float | str:
    """Read a number; what is none is left for the validation to name."""
    try:
        return float(text)
    except ValueError:
        return text


def _decimal(text: str) -> str:
    """Write `-2e-4` as the decimal that goes on the wire; what is none is left as it is."""
    try:
        return format(Decimal(text), "f")
    except InvalidOperation:
        return text


def _publish(
    kind: Kind,
    slab: str,
    fields: dict[str, Any],
    timestamp: int | None,
    flags: Flags,
    *,
    as_json: bool,
) -> None:
    from percolator_cli import publishing  # noqa: PLC0415 - brings NATS, which --help need not wait for

    stamped = {
        **fields,
        "timestamp": time.time_ns() // 1_000_000 if timestamp is None else timestamp,
    }
    try:
        event = events.validate(kind, slab, stamped)
    except EventError as error:
        raise WrongUsageError(publishing.plainly(error, stamped)) from None
    subject = events.subject_of(kind, slab)
    interruptible()
    seq = asyncio.run(publishing.publish_one(flags, subject, publishing.payload_of(event)))
    line = json.dumps({"subject": subject, "seq": seq})
    typer.echo(line if as_json else f"published {subject} seq {seq}")
