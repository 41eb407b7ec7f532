"""`percolator publish file` and `publish demo`: the commands that publish many events."""

import asyncio
from typing import Annotated, Any

import typer

from percolator.config.sources import load
from percolator_cli import flags as given
from percolator_cli.command import examples
from percolator_cli.process import interruptible, print_error
from percolator_cli.render import figures

FILE_EXAMPLES = examples(
    "percolator publish file events.jsonl",
    "percolator publish file events.jsonl --check",
    "percolator publish file events.jsonl --rate 100",
    "zcat events.jsonl.gz | percolator publish file -",
)
DEMO_EXAMPLES = examples(
    "percolator publish demo",
    "percolator publish demo --speed 10 --loop --slabs 20",
)
Flags = dict[str, Any]


@given.with_settings(given.NATS)
def file(
    path: Annotated[
        str,
        typer.Argument(
            help="File to publish; - reads standard input.", metavar="PATH", allow_dash=True
        ),
    ],
    *,
    flags: Flags,
    check: Annotated[
        bool, typer.Option("--check", help="Check every line and publish nothing; needs no NATS.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(help="Maximum events per second.", metavar="N", min=0.001)
    ] = None,
    no_dedupe: Annotated[
        bool, typer.Option("--no-dedupe", help="Publish events again even if just published.")
    ] = False,
    republish: Annotated[bool, typer.Option("--anew", hidden=True)] = False,
    as_json: given.Json = False,
) -> None:
    """Publish a file of events, one JSON object per line.

    Each object has a type, a slab (the market) and the fields of that type; the timestamp defaults
    to now. Invalid lines are reported and skipped, and the exit code is then 1. If publishing is
    interrupted, run the same command within two minutes to publish only what is missing.
    With --check, the exit code is 1 if any line is invalid.
    """
    from percolator_cli import publish_file as publishing  # noqa: PLC0415 - imports NATS
    from percolator_cli.bars import publishing_bar  # noqa: PLC0415
    from percolator_cli.lines import size_of  # noqa: PLC0415

    settings = load(flags).settings
    outcome = publishing.Outcome()
    dedupe = not (no_dedupe or republish)  # --anew is the former name of --no-dedupe
    interruptible()
    if check:
        with publishing_bar(
            size_of(path), lambda: (outcome.read, outcome.valid), "checking"
        ) as notify:
            asyncio.run(publishing.check_file(path, outcome, notify=notify))
        typer.echo(publishing.checked(outcome, as_json=as_json))
        raise typer.Exit(1 if outcome.bad else 0)
    try:
        with publishing_bar(size_of(path), lambda: (outcome.read, outcome.published)) as notify:
            asyncio.run(
                publishing.publish_file(
                    settings, path, outcome, rate=rate, dedupe=dedupe, notify=notify
                )
            )
    except KeyboardInterrupt:
        rest = "; run the same command within two minutes to publish the rest" if dedupe else ""
        print_error(f"interrupted: {publishing.summary(outcome)}{rest}")
        raise
    typer.echo(publishing.printed(outcome) if as_json else publishing.summary(outcome))
    if outcome.bad:
        raise typer.Exit(1)


@given.with_settings(given.NATS)
def demo(
    *,
    flags: Flags,
    speed: Annotated[
        float,
        typer.Option(
            help="Playback speed: 1 is real time, 0 is as fast as possible.", metavar="X", min=0
        ),
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat until Ctrl-C.")] = False,
    slabs: Annotated[
        int,
        typer.Option(
            help="Number of markets: BTC and ETH, then time-shifted copies.", metavar="N", min=1
        ),
    ] = 2,
) -> None:
    """Publish a recorded market: six minutes of trades and prices.

    The recording has no funding rates; one per minute is made up for each market.
    """
    from percolator_cli.publish_demo import Demo  # noqa: PLC0415 - imports NATS

    playing = Demo()
    interruptible()
    try:
        asyncio.run(playing.play(load(flags).settings, speed=speed, loop=loop, slabs=slabs))
    except KeyboardInterrupt:
        print_error(f"interrupted: published {figures.counted(playing.published, 'event')}")
        raise
    typer.echo(f"published {figures.counted(playing.published, 'event')}")
