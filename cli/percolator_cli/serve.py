"""`percolator serve`: the gateway as a process, from its settings to its exit code."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from percolator import logs
from percolator.app import garbage
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator_cli import gateway
from percolator_cli.command import examples, single
from percolator_cli.flags import with_settings
from percolator_cli.process import interruptible

if TYPE_CHECKING:
    from percolator.app.service import Addresses, Service

EXIT_CODES = {signal.SIGTERM: 0, signal.SIGINT: 130}
"""The signals that stop the gateway, and the exit code for each."""


@with_settings()
def serve(
    flags: dict[str, Any],
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Also play a recorded market in a loop."),
    ] = False,
) -> None:
    """Run the gateway.

    Without --nats-url it uses the NATS server at 127.0.0.1:4222, or starts an embedded one if none
    answers there. Each setting can also be an environment variable (PERCOLATOR_PORT=8080) or a line
    in percolator.toml (port = 8080).

    SIGUSR1 logs a summary: connections, groups, replays and the feed. SIGHUP reloads the TLS
    certificate.
    """
    settings = load(flags).settings
    logs.configure(settings.log_level, settings.log_format)
    from percolator.app.service import Service  # noqa: PLC0415 - slow to import, only needed here

    interruptible()
    raise typer.Exit(asyncio.run(_serve(Service, settings, demo=demo)))


command = single(
    serve,
    examples(
        "percolator serve --demo",
        "percolator serve --port 8080 --nats-url nats://nats-1:4222,nats://nats-2:4222",
    ),
)


async def _serve(make: "type[Service]", settings: Settings, *, demo: bool) -> int:
    """Run until a signal comes; return its exit code. Raises what the service fails with."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in EXIT_CODES:
        loop.add_signal_handler(number, signals.put_nowait, number)
    service = make(settings)
    if settings.tls_cert is not None:
        loop.add_signal_handler(signal.SIGHUP, service.reload_certificate)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        loop.add_signal_handler(signal.SIGUSR1, service.log_summary)
    running = asyncio.create_task(_run(service, demo=demo))
    first = asyncio.create_task(signals.get())
    await asyncio.wait({running, first}, return_when=asyncio.FIRST_COMPLETED)
    again = asyncio.create_task(exit_on_second(signals))
    running.cancel()
    failure = (await asyncio.gather(running, return_exceptions=True))[0]
    await service.stop()
    again.cancel()
    if first.done():
        return EXIT_CODES[first.result()]
    first.cancel()
    assert isinstance(failure, BaseException)
    raise failure


async def _run(service: "Service", *, demo: bool) -> None:
    """Start, print the ready line, and run until the service fails."""
    addresses = await service.start()
    await service.ready()
    if demo:
        await service.play_demo()
    print(ready_line(addresses, service.settings), flush=True)
    collecting = asyncio.create_task(garbage.collect_rarely())
    try:
        raise await service.failed
    finally:
        collecting.cancel()


def ready_line(addresses: "Addresses", settings: Settings) -> str:
    """Return the line that says where everything is."""
    bound = replace(
        gateway.address(None, settings.model_copy(update={"host": addresses.host})),
        port=addresses.port,
    )
    nats = f"NATS {addresses.nats}"
    if addresses.data_dir is not None:
        nats += f" (embedded, data in {addresses.data_dir})"
    return f"percolator is ready: WebSocket {bound.ws}, dashboard {bound.http}/, {nats}"


async def exit_on_second(signals: "asyncio.Queue[signal.Signals]") -> None:
    """Exit at once on a second signal. The embedded server notices and stops by itself."""
    number = await signals.get()
    sys.stderr.flush()
    os._exit(EXIT_CODES[number])
