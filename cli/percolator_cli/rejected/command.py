"""`percolator rejected`: its options, and what it prints."""

import asyncio
import json
from typing import Annotated, Any

import typer

from percolator.config.sources import load
from percolator_cli import flags as given
from percolator_cli import gateway, output
from percolator_cli.answers import Rejection
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.process import interruptible, print_error

NATS = tuple(name for name in given.NATS if name != "stream")
"""The settings that say where NATS is; the rejections are on a subject, in no stream."""


@given.with_settings(NATS)
def rejected(
    *,
    flags: dict[str, Any],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new rejections until Ctrl-C.")
    ] = False,
    limit: Annotated[
        int, typer.Option(help="Show the newest N that the gateway has kept.", metavar="N", min=1)
    ] = 20,
    slab: Annotated[
        str | None, typer.Option(help="Only events of this market.", metavar="MARKET")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Only events rejected for this reason.", metavar="REASON"),
    ] = None,
    as_json: given.Json = False,
    url: given.Url = None,
    nats: Annotated[
        bool,
        typer.Option(
            "--nats", help="Follow on NATS, without a gateway's token.", rich_help_panel="NATS"
        ),
    ] = False,
) -> None:
    """Show which events were rejected, and why.

    A gateway keeps the newest 500; if it requires a stats token, set PERCOLATOR_STATS_TOKEN. With
    --nats, or any other option of NATS, it follows what gateways report on NATS instead, which
    publishers may read. NATS keeps nothing: what was rejected before is not shown.
    """
    from percolator_cli.rejected import watch  # noqa: PLC0415 - imports NATS

    settings = load(flags).settings
    on_nats = nats or any(value is not None for value in flags.values())
    if on_nats and url is not None:
        raise WrongUsageError("--url asks a gateway, and NATS is none: leave one of them out")
    show = Printer(slab, reason, as_json=as_json)
    interruptible()
    if on_nats:
        asyncio.run(watch.follow_nats(settings, show))
        return
    token = settings.stats_token.get_secret_value() if settings.stats_token else None
    kept = watch.Kept(gateway.address(url, settings), token)
    troubles = watch.Troubles(reading=True)
    newest = watch.once_it_answers(kept, troubles) if follow else kept.newer()
    for each in list(filter(show.wants, newest))[-limit:]:
        show(each)
    if not show.shown:
        print_error(show.nothing(len(newest)) + ("; waiting" if follow else ""))
    if follow:
        watch.follow_gateway(kept, show, newest, troubles)


command = single(
    rejected,
    examples(
        "percolator rejected",
        "percolator rejected --follow --slab SOL --reason invalid_price",
        "percolator rejected --nats-url nats://127.0.0.1:4222",
    ),
)


class Printer:
    """Prints the rejections that are asked for, as lines for people or as JSON lines."""

    def __init__(self, slab: str | None, reason: str | None, *, as_json: bool) -> None:
        self.shown = 0
        self._slab = slab
        self._reason = reason
        self._as_json = as_json
        self._console = output.console()

    def wants(self, rejection: Rejection) -> bool:
        """Return whether a rejection is of the market and the reason, if they were named."""
        return (
            self._slab is None or self._slab in rejection.subject.split(".")[1:]
        ) and self._reason in (None, rejection.reason)

    def __call__(self, rejection: Rejection) -> None:
        """Print a rejection, unless it is not asked for."""
        from percolator_cli.render import rejected as render  # noqa: PLC0415 - imports rich

        if not self.wants(rejection):
            return
        self.shown += 1
        if self._as_json:
            print(json.dumps(rejection.as_sent), flush=True)
        elif self._console.is_terminal:
            self._console.print(render.block(rejection))
        else:
            print(render.line(rejection), flush=True)

    def nothing(self, kept: int) -> str:
        """Return the sentence for when nothing is shown, given how many rejections are kept."""
        if not kept:
            return "no events were rejected since the gateway started"
        asked = [("market", self._slab), ("reason", self._reason)]
        named = " and ".join(f"{name} {value}" for name, value in asked if value is not None)
        return f"no rejection that the gateway has kept is of {named} ({kept} are of others)"
