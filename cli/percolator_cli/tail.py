"""`percolator tail`: follows channels and prints their events, reconnecting and resuming."""

import asyncio
import json
from typing import Annotated

import typer

from percolator.client import State, Update, follow
from percolator.client.address import GatewayAddress
from percolator.config.sources import load
from percolator.errors import PercolatorError, RequestError
from percolator.model.channel import CHANNEL_EXAMPLES
from percolator_cli import gateway, output
from percolator_cli.command import examples, single
from percolator_cli.flags import Json, Token, Url, check_channels
from percolator_cli.process import interruptible, print_error
from percolator_cli.render import figures
from percolator_cli.render.tail import fields, line


def tail(
    channels: Annotated[
        list[str],
        typer.Argument(
            help=f"Channels to follow, such as {CHANNEL_EXAMPLES}; trades:* for all markets.",
            metavar="CHANNEL",
        ),
    ],
    *,
    since: Annotated[
        int | None,
        typer.Option(help="Start after this seq.", metavar="SEQ", min=0),
    ] = None,
    epoch: Annotated[
        str | None,
        typer.Option(help="The stream that --since is of, as in /markets.", metavar="EPOCH"),
    ] = None,
    recent: Annotated[
        int, typer.Option(help="Start with the last N events per channel.", metavar="N", min=0)
    ] = 0,
    count: Annotated[
        int | None, typer.Option(help="Stop after N events.", metavar="N", min=1)
    ] = None,
    token: Token = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Follow channels and print their events.

    Each trade and funding rate is printed once and in order; missing events are reported as a gap.
    If the gateway goes away, tail waits for it and resumes. Press Ctrl-C to stop.
    """
    check_channels(channels)
    if since and epoch is None:  # every stream has all after 0
        print_error("--since without --epoch: if the stream was replaced, events may be missing")
    at = gateway.address(url, load({}).settings)
    interruptible()
    asyncio.run(_tail(at, channels, since, epoch, recent, count, token, as_json=as_json))


command = single(
    tail,
    examples(
        "percolator tail price:SOL trades:SOL",
        "percolator tail trades:SOL --since 1200 --count 10 --json",
    ),
)


async def _tail(  # noqa: PLR0917 - the command's own options
    at: GatewayAddress,
    channels: list[str],
    since: int | None,
    epoch: str | None,
    recent: int,
    count: int | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    console = output.console()
    following = follow(
        at, channels, since=since, epoch=epoch, recent=recent, token=token, on_state=_States(at)
    )
    left = count
    try:
        async with following:
            async for message in following:
                if as_json:
                    print(json.dumps(fields(message)), flush=True)
                elif console.is_terminal:
                    console.print(line(message), soft_wrap=True)
                else:
                    print(line(message).plain, flush=True)
                if left is not None and isinstance(message, Update):
                    left -= 1
                    if not left:
                        return
    except RequestError as error:
        raise PercolatorError(f"the gateway rejected the request: {error}") from None


class _States:
    """Prints on standard error when events may be missing, and when they come again."""

    def __init__(self, at: GatewayAddress) -> None:
        self._at = at
        self._trouble = ""

    def __call__(self, state: State) -> None:
        """Handle a change of the connection's state."""
        if state.name == "live":
            if self._trouble:
                print_error(f"connected to {self._at.ws}")
            self._trouble = ""
        elif state.name in ("waiting", "stale") and state.name != self._trouble:
            self._trouble = state.name
            if state.name == "waiting":
                print_error(f"not connected to {self._at.ws}: {state.reason}; retrying")
            else:
                print_error(f"stale since {figures.clock(state.since)}: {state.reason}")
