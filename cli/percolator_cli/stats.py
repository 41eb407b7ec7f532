"""`percolator stats`: the stats of a running gateway, once or continuously."""

import json
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

import typer
from rich.live import Live

from percolator.client.address import GatewayAddress
from percolator.config.sources import load
from percolator.errors import GatewayError
from percolator_cli import gateway, output
from percolator_cli.answers import Stats
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.flags import Json, Url
from percolator_cli.process import interruptible, print_error
from percolator_cli.render.stats import Status, nothing_yet, screen

MIN_INTERVAL = 0.1
"""Seconds."""
HISTORY = 240
"""Number of earlier values kept per rate."""
RATES = ("messagesPerSec", "bytesPerSec", "eventsPerSec")
TERMINATED = 143
"""Exit code after SIGTERM."""


def stats(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh continuously.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(help="Refresh interval; implies --watch (default: 1).", metavar="SECONDS"),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show what a running gateway is doing.

    Rates are averages over the last minute. With --watch, the screen refreshes until Ctrl-C and
    survives a restart of the gateway. If the gateway requires a stats token, set
    PERCOLATOR_STATS_TOKEN.
    """
    if interval is not None and interval < MIN_INTERVAL:
        raise WrongUsageError(f"--interval must be {MIN_INTERVAL} or more, not {interval:g}")
    settings = load({}).settings
    token = settings.stats_token.get_secret_value() if settings.stats_token else None
    interruptible()
    watcher = _Watcher(gateway.address(url, settings), token, as_json=as_json)
    if watch or interval is not None:
        watcher.watch(interval or 1.0)
    else:
        watcher.print_once()


command = single(
    stats,
    examples(
        "percolator stats",
        "percolator stats --watch",
        "percolator stats --json --url https://feed.example.org",
    ),
)


@dataclass
class _Watcher:
    """Reads the stats of one gateway and keeps the history of its rates."""

    at: GatewayAddress
    token: str | None
    as_json: bool
    history: dict[str, deque[float]] = field(
        default_factory=lambda: {name: deque(maxlen=HISTORY) for name in RATES}
    )

    def print_once(self) -> None:
        """Print the stats once. Raises GatewayError."""
        stats = self._stats()
        if self.as_json:
            print(json.dumps(stats.as_sent))
        else:
            self._print(self._status(stats))

    def watch(self, interval: float) -> None:
        """Print the stats until interrupted, and say if the gateway stops answering."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # restores the screen
        if self.as_json:
            self._stream(interval)
        elif sys.stdout.isatty():
            self._screen(interval)
        else:
            self._stream(interval)

    def _stream(self, interval: float) -> None:
        """Print the stats repeatedly; the first of consecutive errors goes to standard error."""
        well = True
        while True:
            try:
                stats = self._stats()
                if self.as_json:
                    print(json.dumps(stats.as_sent), flush=True)
                else:
                    self._print(self._status(stats))
                    print(flush=True)
                well = True
            except GatewayError as error:
                if well:
                    print_error(str(error))
                well = False
            time.sleep(interval)

    def _screen(self, interval: float) -> None:
        console = output.console()
        status = Status(self.at.http, {}, {}, 0)
        gone_since = ""
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    status, gone_since = self._status(self._stats()), ""
                except GatewayError as error:
                    gone_since = gone_since or time.strftime("%H:%M:%S")
                    trouble = f"no answer since {gone_since}, retrying"
                    status = replace(status, trouble=trouble if status.stats else str(error))
                width, height = console.size
                if status.stats:
                    shown = screen(status, width, rows=height, drawn=True)
                else:
                    shown = nothing_yet(status)
                live.update(shown, refresh=True)
                time.sleep(interval)

    def _stats(self) -> Stats:
        found = gateway.stats(self.at, self.token)
        for name, values in self.history.items():
            values.append(found.by_name[name])
        return found

    def _status(self, stats: Stats) -> Status:
        markets = gateway.markets(self.at, self.token).by_name["markets"]
        history = {name: list(values) for name, values in self.history.items()}
        now_ms = time.time_ns() // 1_000_000
        return Status(self.at.http, stats.by_name, markets, now_ms, history=history)

    @staticmethod
    def _print(status: Status) -> None:
        once = replace(status, history={})
        output.show(partial(screen, once, rows=None))
