"""The E6 envelope: the form in which publishers of the replaced server wrap an event.

    {"event":"price.updated","slabAddress":"SOL","data":{"priceE6":150000000},"timestamp":MS}

Numbers whose key ends in E6 are integers of millionths.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from percolator.errors import EventError
from percolator.model import decimals
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS
from percolator.model.sentences import MILLIONTHS, Written, shown

_NAMES = frozenset(kind.envelope for kind in KINDS if kind.envelope is not None)


def is_one(document: Mapping[str, Any]) -> bool:
    """Return whether a document has the form of an envelope, of whatever kind."""
    name = document.get("event")
    return "event" in document and (
        "data" in document or (isinstance(name, str) and name in _NAMES)
    )


def unwrap(
    channel: Channel, document: Mapping[str, Any], *, require_slab: bool = False
) -> tuple[dict[str, Any], dict[str, Written]]:
    """Return the native fields of an enveloped event, and those that were written in another form.

    Raises EventError.
    """
    kind, name, data = channel.kind, document["event"], document.get("data")
    if kind.envelope is None:
        raise EventError("mismatch", f"a {kind} has no envelope: use the native form")
    if name != kind.envelope:
        text = f"event must be {kind.envelope} on the subject of a {kind}, got {shown(name)}"
        raise EventError("mismatch", text)
    if require_slab and "slabAddress" not in document:
        raise EventError("mismatch", "slabAddress is missing, and require_slab is on")
    if (slab := document.get("slabAddress", channel.slab)) != channel.slab:
        text = f"slabAddress must be {channel.slab}, the market of the subject, got {shown(slab)}"
        raise EventError("mismatch", text)
    if not isinstance(data, dict):
        raise EventError("invalid_event", f"data must be an object, got {shown(data)}")
    fields = {key: value for key, value in data.items() if key not in ("type", "slab")}
    written: dict[str, Written] = {}
    for field in kind.in_millionths:
        key = field + MILLIONTHS
        if key not in fields:
            continue
        if field in fields:
            raise EventError("invalid_event", f"{field} is given in two units: {field} and {key}")
        written[field] = Written(key, fields.pop(key))
        fields[field] = _from_millionths(field, written[field])
    return fields | {"timestamp": document.get("timestamp")}, written


def _from_millionths(field: str, written: Written) -> float | str | None:
    """Convert an integer of millionths, or its text, to USD; a rate to its decimal text."""
    key, value = written
    if value is None:
        return None
    number = isinstance(value, int) and not isinstance(value, bool)
    text = decimals.millionths(str(value)) if number or isinstance(value, str) else None
    if text is None:
        raise EventError(
            f"invalid_{field}", f"{key} must be an integer of millionths, got {shown(value)}"
        )
    return text if field == "rate" else float(Decimal(text))
