"""The E6 envelope: the form in which publishers of the replaced server wrap an event.

    {"event":"price.updated","slabAddress":"SOL","data":{"priceE6":150000000},"timestamp":MS}

Numbers whose key ends in E6 are integers of millionths.
"""

import re
from decimal import Decimal
from typing import Any

from percolator.errors import EventError
from percolator.model.channel import Channel
from percolator.model.kinds import FIELDS

E6 = "E6"
_MILLIONTHS = re.compile(r"-?[0-9]{1,40}")


def unwrap(
    channel: Channel, document: dict[str, Any], *, require_slab: bool = False
) -> dict[str, Any]:
    """Return the native fields of an enveloped event. Raises EventError."""
    name, data = document["event"], document.get("data")
    if not isinstance(name, str) or name != channel.kind.envelope:
        raise EventError("mismatch", "event does not match the subject")
    if require_slab and "slabAddress" not in document:
        raise EventError("mismatch", "slabAddress is missing, and require_slab is on")
    if document.get("slabAddress", channel.slab) != channel.slab:
        raise EventError("mismatch", "slabAddress does not match the subject")
    if not isinstance(data, dict):
        raise EventError("invalid_event", "data must be an object")
    fields = {key: value for key, value in data.items() if key not in ("type", "slab")}
    for key in [key for key in fields if key.endswith(E6)]:
        field = key.removesuffix(E6)
        if field in fields:
            raise EventError("invalid_event", f"{field} is given in two units"[:64])
        fields[field] = _from_millionths(field, fields.pop(key))
    return fields | {"timestamp": document.get("timestamp")}


def _from_millionths(field: str, value: object) -> float | str | None:
    """Convert an integer of millionths, or its text, to USD; a rate to its decimal text."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool | float) or not _MILLIONTHS.fullmatch(text):
        reason = f"invalid_{field}" if field in FIELDS else "invalid_event"
        raise EventError(reason, f"{field[:32]}E6 must be an integer of millionths")
    exact = Decimal(text).scaleb(-6)
    return format(exact.normalize(), "f") if field == "rate" else float(exact)
