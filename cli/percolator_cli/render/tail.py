"""Events and gaps as lines: time, channel, seq and content."""

from datetime import datetime
from typing import Any

from rich.text import Text

from percolator.client import Gap, Message
from percolator.model.events import Funding, Price, Trade
from percolator_cli.render import figures

CHANNEL_COLUMNS = 16
SIDES = {"long": "green", "short": "red"}


def line(message: Message) -> Text:
    """Return a line for people."""
    if isinstance(message, Gap):
        return _gap(message)
    at = datetime.fromtimestamp(message.event.timestamp / 1_000).astimezone()
    text = Text.assemble(
        (f"{at:%H:%M:%S}.{message.event.timestamp % 1_000:03} ", "dim"),
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
    event = message.event
    shown: dict[str, Any] = {"type": event.type, "channel": message.channel, "slab": event.slab}
    shown |= {name: getattr(event, name) for name in event.__dataclass_fields__}
    shown |= {"seq": message.seq, "prev": message.prev}
    if message.snapshot:
        shown["snapshot"] = True
    lossless = event.type != "price"
    return {k: v for k, v in shown.items() if v is not None or (k == "prev" and lossless)}


def _gap(gap: Gap) -> Text:
    text = f"gap: missing {gap.channel} events between seq {gap.after} and {gap.before}"
    if gap.epoch is not None:
        text += "; the stream was recreated"
    return Text(text, "bold yellow")


def _event(event: Price | Trade | Funding) -> Text:
    match event:
        case Price():
            text = Text(figures.number(event.price), "bold")
            for name, value in (("mark", event.markPrice), ("index", event.indexPrice)):
                if value is not None:
                    text.append(f"  {name} {figures.number(value)}", "dim")
            return text
        case Trade():
            price = figures.number(event.price)
            return Text.assemble(
                (f"{event.side:5}", SIDES[event.side]), f" {event.size} at {price}"
            )
        case Funding():
            return Text(f"rate {event.rate}")
