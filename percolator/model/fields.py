"""The fields of an event that clients get, in a message or in a row of history."""

from typing import Any

from pydantic_core import to_json

from percolator.model.kinds import Event


def encoded(fields: dict[str, Any], event: Event) -> bytes:
    """Return fields as JSON, with what the publisher added to the event at the end."""
    text = to_json(fields)
    return b"%b,%b}" % (text[:-1], event.extra_json) if event.extra_json else text


def event_fields(event: Event, seq: int, prev: int | None) -> dict[str, Any]:
    """Return the fields that a client gets of one event, without its type and market.

    What the publisher added is not among them.
    """
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
