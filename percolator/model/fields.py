"""The fields of an event that clients get, as a message or as a row of history."""

from typing import Any

from percolator.model.kinds import Event


def event_fields(event: Event, seq: int, prev: int | None) -> dict[str, Any]:
    """Return the fields that a client gets of one event, without its type and market."""
    fields: dict[str, Any] = {}
    kind = event.kind
    for name in kind.fields:
        value = getattr(event, name)
        if value is not None:
            fields[name] = value
    fields["timestamp"] = event.timestamp
    fields["seq"] = seq
    if kind.lossless:
        fields["prev"] = prev
    return fields
