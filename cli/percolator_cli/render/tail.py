"""Events and gaps as lines: time, channel, seq and content."""

from collections.abc import Callable
from typing import Any

from rich.text import Text

from percolator.client import Gap, Message, Refused
from percolator.model.kinds import Event
from percolator_cli.render import figures

CHANNEL_COLUMNS = 16
ASIDE: dict[str, Callable[[Any], str]] = {
    "markPrice": lambda price: f"mark {figures.number(price)}",
    "indexPrice": lambda price: f"index {figures.number(price)}",
    "openInterest": "open interest {}".format,
    "intervalHours": "per {:g} h".format,
    "nextFundingTime": lambda time: f"next {figures.clock(time)}",
}
"""How the fields are written that matter less than the others."""
SIDES = {"long": "green", "short": "red"}


def line(message: Message) -> Text:
    """Return a line for people."""
    if isinstance(message, Gap):
        return _gap(message)
    if isinstance(message, Refused):
        return Text(f"refused: {message.channel}: {message.message}; asking again", "bold yellow")
    text = Text.assemble(
        (f"{figures.clock(message.event.timestamp)} ", "dim"),
        f"{message.channel:{CHANNEL_COLUMNS}} ",
        (f"{message.seq:>10} ", "dim"),
        _event(message.event),
    )
    if message.snapshot:
        text.append(" (snapshot)", "dim")
    return text


def fields(message: Message) -> dict[str, Any]:
    """Return the fields of the JSON object for scripts."""
    if isinstance(message, Gap):
        gap: dict[str, Any] = {"type": "gap", "channel": message.channel}
        gap |= {"from": message.after, "to": message.before}
        return gap | ({} if message.epoch is None else {"epoch": message.epoch})
    if isinstance(message, Refused):
        error = {"type": "error", "channel": message.channel}
        return error | {"code": message.code, "message": message.message}
    event = message.event
    shown: dict[str, Any] = {"type": event.type, "channel": message.channel, "slab": event.slab}
    shown |= event.values() | {"timestamp": event.timestamp}
    shown |= {"seq": message.seq, "prev": message.prev}
    if message.snapshot:
        shown["snapshot"] = True
    lossless = event.kind.lossless
    known = {k: v for k, v in shown.items() if v is not None or (k == "prev" and lossless)}
    return known | event.extra


def _gap(gap: Gap) -> Text:
    text = f"gap: missing {gap.channel} events between seq {gap.after} and {gap.before}"
    if gap.epoch is not None:
        text += "; the stream was recreated"
    return Text(text, "bold yellow")


def _event(event: Event) -> Text:
    """Write the fields of an event, each as its name demands, whatever the kind."""
    text = Text()
    for name, value in event.values().items():
        if value is not None:
            text.append(" " if text else "")
            text.append_text(_field(name, value))
    return text


def _field(name: str, value: Any) -> Text:  # noqa: ANN401 - any value of an event
    match name:
        case "side":
            return Text(f"{value:5}", SIDES[value])
        case "size":
            return Text(f"{value} at")
        case "price":
            return Text(figures.number(value), "bold")
        case _ if name in ASIDE:
            return Text(f" {ASIDE[name](value)}", "dim")
        case _:
            return Text(f"{name} {value}")
