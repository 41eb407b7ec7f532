"""`percolator publish price`, `trade` and `funding`: publish one acknowledged event to JetStream.

The commands that publish many events are in `publish_batch`.
"""

import asyncio
import json
import re
import secrets
import time
from typing import Annotated, Any

import typer

from percolator.errors import EventError
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.kinds import FUNDING, LIQUIDATION, MARKET, PRICE, STATUSES, TRADE, Kind
from percolator.printable import printable
from percolator_cli import flags as given
from percolator_cli.command import Command, Group, WrongUsageError, examples
from percolator_cli.process import interruptible, print_error
from percolator_cli.publish_batch import DEMO_EXAMPLES, FILE_EXAMPLES, demo, file

command = typer.Typer(
    name="publish",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Publish events to JetStream.",
    epilog=examples(
        "percolator publish price SOL 1.5",
        "percolator publish trade SOL long 1000000 1.5 --id signature:SOL:0",
        "percolator publish funding SOL 0.0001",
        "percolator publish liquidation SOL long 1000000 1.5",
        "percolator publish market SOL --status retired",
    ),
)

Slab = Annotated[
    str, typer.Argument(help="Market name: letters, digits, _ and -, up to 64.", metavar="MARKET")
]
Timestamp = Annotated[
    int | None,
    typer.Option(help="Time of the event in Unix milliseconds (default: now).", metavar="MS"),
]
MessageId = Annotated[
    str | None,
    typer.Option(
        "--id",
        help="Message id: NATS stores events with the same id once within its duplicate window, "
        "usually two minutes (default: a random one).",
        metavar="TEXT",
    ),
]
MESSAGE_ID = re.compile(r"[!-~]{1,256}")
"""What a message id may be: a header of NATS carries it."""
Price = Annotated[str, typer.Argument(help="Price in USD, greater than 0.", metavar="PRICE")]
Size = Annotated[str, typer.Argument(help="Size in base units, a whole number.", metavar="SIZE")]
Flags = dict[str, Any]


def _side(text: str) -> Any:  # noqa: ANN401 - as typer has it
    """Declare the argument for a side."""
    sides = ["long", "short"]
    return typer.Argument(help=text, metavar="|".join(sides), autocompletion=lambda: sides)


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
    mark: Annotated[str | None, typer.Option(help="Mark price in USD.", metavar="X")] = None,
    index: Annotated[str | None, typer.Option(help="Index price in USD.", metavar="X")] = None,
    open_interest: Annotated[
        str | None, typer.Option(help="Open interest in base units.", metavar="SIZE")
    ] = None,
    timestamp: Timestamp = None,
    message_id: MessageId = None,
    as_json: given.Json = False,
) -> None:
    """Publish a market's price."""
    fields = {
        "price": _number(price),
        "markPrice": _number(mark),
        "indexPrice": _number(index),
        "openInterest": open_interest,
    }
    _publish(
        PRICE, slab, fields, flags, timestamp=timestamp, message_id=message_id, as_json=as_json
    )


@command.command(cls=Command, epilog=examples("percolator publish trade SOL long 1000000 1.5"))
@given.with_settings(given.NATS)
def trade(
    slab: Slab,
    side: Annotated[str, _side("Side of the taker.")],
    size: Size,
    price: Price,
    *,
    flags: Flags,
    timestamp: Timestamp = None,
    message_id: MessageId = None,
    as_json: given.Json = False,
) -> None:
    """Publish a trade."""
    fields = {"side": side, "size": size, "price": _number(price)}
    _publish(
        TRADE, slab, fields, flags, timestamp=timestamp, message_id=message_id, as_json=as_json
    )


@command.command(
    cls=Command, epilog=examples("percolator publish liquidation SOL long 1000000 1.5")
)
@given.with_settings(given.NATS)
def liquidation(
    slab: Slab,
    side: Annotated[str, _side("Side of the position that was closed.")],
    size: Size,
    price: Price,
    *,
    flags: Flags,
    timestamp: Timestamp = None,
    message_id: MessageId = None,
    as_json: given.Json = False,
) -> None:
    """Publish a liquidation."""
    fields = {"side": side, "size": size, "price": _number(price)}
    _publish(
        LIQUIDATION,
        slab,
        fields,
        flags,
        timestamp=timestamp,
        message_id=message_id,
        as_json=as_json,
    )


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish funding SOL 0.0001", "percolator publish funding SOL -2e-4"
    ),
)
@given.with_settings(given.NATS)
def funding(
    slab: Slab,
    rate: Annotated[str, typer.Argument(help="Funding rate; may be negative.", metavar="RATE")],
    *,
    flags: Flags,
    interval_hours: Annotated[
        str | None, typer.Option(help="Hours for which the rate is paid.", metavar="N")
    ] = None,
    next_funding_time: Annotated[
        int | None,
        typer.Option(help="When the next funding is due, in Unix milliseconds.", metavar="MS"),
    ] = None,
    timestamp: Timestamp = None,
    message_id: MessageId = None,
    as_json: given.Json = False,
) -> None:
    """Publish a market's funding rate."""
    _publish(
        FUNDING,
        slab,
        {
            "rate": rate,
            "intervalHours": _number(interval_hours),
            "nextFundingTime": next_funding_time,
        },
        flags,
        timestamp=timestamp,
        message_id=message_id,
        as_json=as_json,
    )


@command.command(
    cls=Command,
    epilog=examples(
        "percolator publish market SOL --status active --display-name Solana --tick-size 0.001",
        "percolator publish market SOL --status retired",
    ),
)
@given.with_settings(given.NATS)
def market(
    slab: Slab,
    *,
    flags: Flags,
    status: Annotated[
        str,
        typer.Option(
            help="active, paused or retired. A retired market is over: gateways do not list it.",
            metavar="|".join(STATUSES),
            autocompletion=lambda: list(STATUSES),
        ),
    ],
    display_name: Annotated[
        str | None, typer.Option(help="Name for people, up to 64 characters.", metavar="NAME")
    ] = None,
    base_decimals: Annotated[
        str | None, typer.Option(help="Digits of a size that are decimals.", metavar="N")
    ] = None,
    tick_size: Annotated[
        str | None, typer.Option(help="Smallest step of the price in USD.", metavar="X")
    ] = None,
    timestamp: Timestamp = None,
    message_id: MessageId = None,
    as_json: given.Json = False,
) -> None:
    """Publish what a market is. This replaces all that was published of it before."""
    fields = {
        "status": status,
        "displayName": display_name,
        "baseDecimals": None if base_decimals is None else _whole(base_decimals),
        "tickSize": tick_size,
    }
    _publish(
        MARKET,
        slab,
        fields,
        flags,
        timestamp=timestamp,
        message_id=message_id,
        as_json=as_json,
    )


def _whole(text: str) -> int | str:
    """Parse a whole number; a string that is not one is left for the validation to reject."""
    try:
        return int(text)
    except ValueError:
        return text


def _number(text: str | None) -> float | str | None:
    """Parse a number; a string that is not a number is left for the validation to reject."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _publish(
    kind: Kind,
    slab: str,
    fields: dict[str, Any],
    flags: Flags,
    *,
    timestamp: int | None,
    message_id: str | None,
    as_json: bool,
) -> None:
    from percolator_cli import publishing  # noqa: PLC0415 - imports NATS, which --help does not need

    now_ms = time.time_ns() // 1_000_000
    given_fields = {name: value for name, value in fields.items() if value is not None}
    stamped = {**given_fields, "timestamp": now_ms if timestamp is None else timestamp}
    channel = Channel(kind, slab)
    try:
        event = events.validate(channel, stamped, now_ms)
    except EventError as error:
        raise WrongUsageError(str(error)) from None
    if message_id is not None and not MESSAGE_ID.fullmatch(message_id):
        raise WrongUsageError(
            "--id must be 1 to 256 visible ASCII characters without spaces, "
            "such as signature:asset:leg"
        )
    subject, own_id = channel.subject, message_id or secrets.token_hex(16)
    interruptible()
    try:
        ack = asyncio.run(
            publishing.publish_one(flags, subject, publishing.payload_of(event), own_id)
        )
    except KeyboardInterrupt:
        print_error(
            "interrupted: the event may be stored; to publish it only if it is not, run the same "
            f"command within two minutes with --timestamp {event.timestamp} --id {own_id}"
        )
        raise
    # With an id of our own, a duplicate is an event of ours: its first acknowledgement was lost.
    known = bool(ack.duplicate and message_id)
    line = json.dumps({"subject": subject, "seq": ack.seq} | ({"duplicate": True} if known else {}))
    done = "already published" if known else "published"
    typer.echo(line if as_json else printable(f"{done} {subject} seq {ack.seq}"))


command.command(cls=Command, epilog=FILE_EXAMPLES)(file)
command.command(cls=Command, epilog=DEMO_EXAMPLES)(demo)
