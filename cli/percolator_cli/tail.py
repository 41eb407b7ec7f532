"""`percolator tail`: follows channels as a client would, reconnecting and resuming."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from percolator.client import Gap, State, follow
from percolator.config.sources import load
from percolator.errors import PercolatorError, RequestError
from percolator.model.events import parse_channel
from percolator_cli import gateway, output
from percolator_cli.app import interruptible
from percolator_cli.command import WrongUsageError, examples, single
from percolator_cli.flags import Json, Token, Url
from percolator_cli.gateway import GatewayAddress
from percolator_cli.render.tail import fields, line


def tail(
    channels: Annotated[
        list[str],
        typer.Argument(
            help="What to follow: price:SLAB, trades:SLAB or funding:SLAB.", metavar="CHANNEL..."
        ),
    ],
    *,
    since: Annotated[
        int | None,
        typer.Option(help="Begin with what came after this seq.", metavar="SEQ", min=0),
    ] = None,
    recent: Annotated[
        int, typer.Option(help="Begin with the last events of each channel.", metavar="N", min=0)
    ] = 0,
    count: Annotated[
        int | None, typer.Option(help="End after so many events.", metavar="N", min=1)
    ] = None,
    token: Token = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Follow channels, as a client would.

    Trades and funding rates come each once and in order; what cannot be had any more is said to be
    a gap. A gateway that goes away is waited for, and gone on with where it stopped. Ctrl-C ends
    it.
    """
    for channel in channels:
        if parse_channel(channel) is None:
            raise WrongUsageError(
                f"{channel[:64]!r} is not a channel: price:SLAB, trades:SLAB or funding:SLAB"
            )
    at = gateway.address(url, load({}).settings)
    interruptible()
    asyncio.run(_tail(at, channels, since, recent, count, token, as_json=as_json))


command = single(
    tail,
    examples(
        "percolator tail price:SOL trades:SOL",
        "percolator tail trades:SOL --since 1200 --count 10 --json",
    ),
)


async def _tail(  # noqa: PLR0917 - as they were asked for
    at: GatewayAddress,
    channels: list[str],
    since: int | None,
    recent: int,
    count: int | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    console = output.console()
    following = follow(
        at.ws, channels, since=since, recent=recent, token=token, on_state=_States(at)
    )
    left = count
    try:
        async for message in following:
            if as_json:
                print(json.dumps(fields(message)), flush=True)
            elif console.is_terminal:
                console.print(line(message), soft_wrap=True)
            else:
                print(line(message).plain, flush=True)
            if left is not None and not isinstance(message, Gap):
                left -= 1
                if not left:
                    return
    except RequestError as error:
        raise PercolatorError(f"the gateway refuses: {error}") from None
    finally:
        await following.aclose()


class _States:
    """Says on standard error when the connection is lost, and when it is there again."""

    def __init__(self, at: GatewayAddress) -> None:
        self._at = at
        self._lost = False

    def __call__(self, state: State) -> None:
        """Take note of how the connection stands."""
        if state.name == "waiting" and not self._lost:
            self._lost = True
            refused = "Connect call failed" in state.reason
            reason = "nothing answers there" if refused else state.reason
            self._say(f"no connection to {self._at.ws}: {reason}; trying again")
        elif state.name == "live" and self._lost:
            self._lost = False
            self._say("connected again")

    @staticmethod
    def _say(text: str) -> None:
        print(f"percolator: {text}", file=sys.stderr, flush=True)
