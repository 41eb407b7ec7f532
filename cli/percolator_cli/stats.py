"""`percolator stats`: the stats of a running gateway, once or again and again."""

import json
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import typer
from rich.live import Live

from percolator.config.sources import load
from percolator.errors import GatewayError
from percolator_cli import gateway, output
from percolator_cli.app import complain, interruptible
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.flags import Json, Url
from percolator_cli.gateway import GatewayAddress
from percolator_cli.render.stats import Look, nothing_yet, screen

LEAST_INTERVAL = 0.1
HISTORY = 240
RATES = ("messagesPerSec", "bytesPerSec", "eventsPerSec")
TERMINATED = 143


def stats(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(help="Seconds between two looks of --watch (default: 1).", metavar="SECONDS"),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show what a running gateway is doing.

    Rates are over the last minute. With --watch it is a live screen that survives the gateway's
    restart; Ctrl-C ends it. Where the gateway has a stats token, it is the setting stats_token.
    """
    if interval is not None and interval < LEAST_INTERVAL:
        raise WrongUsageError(f"--interval must be {LEAST_INTERVAL} or more, not {interval:g}")
    settings = load({}).settings
    token = settings.stats_token.get_secret_value() if settings.stats_token else None
    interruptible()
    watcher = _Watcher(gateway.address(url, settings), token, as_json=as_json)
    if watch or interval is not None:
        watcher.watch(interval or 1.0)
    else:
        watcher.look_once()


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
    """Looks at one gateway, and remembers what it has seen."""

    at: GatewayAddress
    token: str | None
    as_json: bool
    history: dict[str, deque[float]] = field(
        default_factory=lambda: {name: deque(maxlen=HISTORY) for name in RATES}
    )

    def look_once(self) -> None:
        """Print one look. Raises GatewayError."""
        stats = self._stats()
        if self.as_json:
            print(json.dumps(stats))
        else:
            self._print(self._look(stats))

    def watch(self, interval: float) -> None:
        """Look for ever; a gateway that goes away is shown as such."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # leaves the screen tidily
        if self.as_json:
            self._stream(interval)
        elif sys.stdout.isatty():
            self._screen(interval)
        else:
            self._stream(interval)

    def _stream(self, interval: float) -> None:
        """Print a look after the other; what is missing is said on standard error, once."""
        well = True
        while True:
            try:
                stats = self._stats()
                if self.as_json:
                    print(json.dumps(stats), flush=True)
                else:
                    self._print(self._look(stats))
                    print(flush=True)
                well = True
            except GatewayError as error:
                if well:
                    complain(str(error))
                well = False
            time.sleep(interval)

    def _screen(self, interval: float) -> None:
        console = output.console()
        look = Look(self.at.http, {}, {}, 0)
        gone_since = ""
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    look, gone_since = self._look(self._stats()), ""
                except GatewayError as error:
                    gone_since = gone_since or time.strftime("%H:%M:%S")
                    trouble = f"does not answer since {gone_since}, trying again"
                    look = replace(look, trouble=trouble if look.stats else str(error))
                width, height = console.size
                if look.stats:
                    shown = screen(look, width, rows=height, drawn=True)
                else:
                    shown = nothing_yet(look)
                live.update(shown, refresh=True)
                time.sleep(interval)

    def _stats(self) -> dict[str, Any]:
        found = gateway.get(self.at, "/ws/stats", self.token)
        if not isinstance(found, dict) or "totalConnections" not in found:
            raise GatewayError(
                f"what answers at {self.at.http} is no percolator gateway: name it with --url"
            )
        for name, values in self.history.items():
            values.append(found[name])
        return found

    def _look(self, stats: dict[str, Any]) -> Look:
        markets = gateway.get(self.at, "/markets").get("markets", {})
        history = {name: list(values) for name, values in self.history.items()}
        return Look(self.at.http, stats, markets, time.time_ns() // 1_000_000, history=history)

    @staticmethod
    def _print(look: Look) -> None:
        once = replace(look, history={})
        output.show(partial(screen, once, rows=None))
