"""`percolator project`: a projector as a process, from its settings to its exit code."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from percolator import logs
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator_cli import flags as given
from percolator_cli.command import examples, single
from percolator_cli.process import interruptible
from percolator_cli.serve import EXIT_CODES, exit_on_second

if TYPE_CHECKING:
    from percolator.app.projector import Projector
    from percolator.jetstream.address import NatsAddress

SETTINGS = (
    *(*given.NATS, "candles_stream", "require_slab"),
    *("drain_seconds", "log_level", "log_format"),
)


@given.with_settings(SETTINGS)
def project(
    flags: dict[str, Any],
    interval_seconds: Annotated[int, typer.Option(min=1, hidden=True)] = 60,
) -> None:
    """Write candles of the events to a stream.

    For each market and minute with events, one candle goes to the stream PERCOLATOR_CANDLES, on the
    subject percolator.candle.MARKET. Run two: one writes, and the other takes over when it stops. A
    gateway that has started an embedded NATS server does this itself.
    """
    settings = load(flags).settings
    logs.configure(settings.log_level, settings.log_format)
    interruptible()
    raise typer.Exit(asyncio.run(_project(settings, interval_seconds * 1000)))


command = single(
    project,
    examples(
        "percolator project",
        "percolator project --nats-url nats://nats-1:4222,nats://nats-2:4222",
    ),
)


async def _project(settings: Settings, interval_ms: int) -> int:
    """Run until a signal comes; return its exit code. Raises what the projector fails with."""
    from percolator.app.nats_source import checked_address  # noqa: PLC0415 - slow to import
    from percolator.app.projector import Projector  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in EXIT_CODES:
        loop.add_signal_handler(number, signals.put_nowait, number)

    address = checked_address(settings)

    async def find() -> "NatsAddress":
        return address

    projector = Projector(settings, find, interval_ms=interval_ms)
    running = asyncio.create_task(projector.run())
    ready = asyncio.create_task(_print_ready(projector, settings, address.shown))
    first = asyncio.create_task(signals.get())
    await asyncio.wait({running, first}, return_when=asyncio.FIRST_COMPLETED)
    again = asyncio.create_task(exit_on_second(signals))
    if first.done():
        await projector.drain(settings.drain_seconds)
    for task in (running, ready, first, again):
        task.cancel()
    failure = (await asyncio.gather(running, ready, first, again, return_exceptions=True))[0]
    if first.done() and not first.cancelled():
        return EXIT_CODES[first.result()]
    assert isinstance(failure, BaseException)
    raise failure


async def _print_ready(projector: "Projector", settings: Settings, nats: str) -> None:
    """Print a line once everything that the stream held at the start has been read."""
    await projector.feed.ready.wait()
    streams = f"reads {settings.stream}, writes {settings.candles_stream}"
    print(f"percolator project is ready: {streams}, NATS {nats}", flush=True)
