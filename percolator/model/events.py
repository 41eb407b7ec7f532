"""Events: what publishers write to NATS, decoded and validated once, here and nowhere else.

Units are settled here too: behind `decode` a price is a float in USD, a size and a rate are
decimal strings. No I/O and no clock.
"""

from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from percolator.errors import EventError
from percolator.model import envelope
from percolator.model.channel import SLAB, SLAB_RULE, Channel
from percolator.model.extras import extras
from percolator.model.kinds import FIELDS, Event, Kind
from percolator.model.sentences import Written, fault, shown
from percolator.model.times import EARLIEST_MS, MAX_AHEAD_MS, MAX_PLAN_MS, time_fault

MAX_EVENT_BYTES = 8_192
"""Longest payload of an event; the longest valid one takes some 400."""

LIKELY_PLAIN_BYTES = 192
"""A longer event most likely has extras, so it is read at once as one that has."""

REASONS = (
    *("too_large", "invalid_json", "invalid_subject", "mismatch", "invalid_event", "price_jump"),
    *(f"invalid_{name}" for name in FIELDS),
)
"""Every reason for which an event is rejected: a bounded set, so that it can be counted."""

# Events are frozen, but one that has not left this file yet is still being made.
_set_slab = Event.__dict__["slab"].__set__
_set_extra = Event.__dict__["extra_json"].__set__

NO_SLAB = "slab is missing, and require_slab is on"
NOT_FINITE = "NaN and Infinity are not JSON numbers"

Decode = Callable[[Channel, bytes, int], Event]
"""Decodes one event, given when it was stored, in Unix milliseconds; `decoder` makes one."""


def decoder(*, require_slab: bool) -> Decode:
    """Return the function that decodes events; with `require_slab`, each must name its market.

    A stored event can then not be published again as another market's.
    """
    return partial(decode, require_slab=True) if require_slab else decode


def decode(
    channel: Channel, payload: bytes, stored_ms: int, *, require_slab: bool = False
) -> Event:
    """Decode one event as it came from NATS, in its native form or in an E6 envelope.

    `stored_ms` is when JetStream stored it, in Unix milliseconds: a replay decides as the feed did.
    Raises EventError with one of REASONS; its text is a sentence for the publisher.
    """
    if len(payload) > MAX_EVENT_BYTES:
        text = f"an event must have at most {MAX_EVENT_BYTES} bytes, got {len(payload)}"
        raise EventError("too_large", text)
    event = _plain(channel.kind, payload) or _with_extras(channel.kind, payload)
    if event is None:
        return _decode_another_form(channel, payload, stored_ms, require_slab=require_slab)
    if event.slab != channel.slab:
        if event.slab:
            raise _other_slab(channel, event.slab)
        if require_slab:
            raise EventError("mismatch", NO_SLAB)
        _set_slab(event, channel.slab)
    _check_times(event, channel.kind, stored_ms)
    return event


def _plain(kind: Kind, payload: bytes) -> Event | None:
    """Return an event without extras; None if the payload is anything else."""
    if len(payload) > LIKELY_PLAIN_BYTES:
        return None
    try:
        event: Event = kind.validator.validate_json(payload, extra="forbid")
    except ValidationError:
        return None
    return event


def _with_extras(kind: Kind, payload: bytes) -> Event | None:
    """Return an event in the native form, perhaps with extras; None if it is not valid."""
    try:
        event: Event = kind.validator.validate_json(payload)
    except ValidationError:
        return None
    _set_extra(event, extras(kind, from_json(payload), payload))
    return event


def validate(channel: Channel, fields: Mapping[str, Any], stored_ms: int) -> Event:
    """Make an event of native fields, as `decode` would. Raises EventError."""
    if not SLAB.fullmatch(channel.slab):
        text = f"{shown(channel.slab)} is not a valid market name ({SLAB_RULE})"
        raise EventError("invalid_subject", text)
    return _validated(channel, {**fields, "slab": channel.slab}, stored_ms, {})


def _decode_another_form(
    channel: Channel, payload: bytes, stored_ms: int, *, require_slab: bool
) -> Event:
    """Decode what is an envelope, or has numbers in another form, or is not valid."""
    fields = _parsed(payload)
    if envelope.is_one(fields):
        fields, written = envelope.unwrap(channel, fields, require_slab=require_slab)
        fields["slab"] = channel.slab
        part = itemgetter("data")
    else:
        written, part = {}, None
    event = _validated(channel, fields, stored_ms, written)
    if "slab" not in fields:
        if require_slab:
            raise EventError("mismatch", NO_SLAB)
        _set_slab(event, channel.slab)
    _set_extra(event, extras(channel.kind, fields, payload, part))
    return event


def _parsed(payload: bytes) -> dict[str, Any]:
    """Parse an object. Raises EventError."""
    try:
        document = from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        reason = NOT_FINITE if _is_json_with_nan(payload) else str(error)
        raise EventError("invalid_json", f"the event is not JSON: {reason}") from None
    if not isinstance(document, dict):
        raise EventError("invalid_event", f"an event must be a JSON object, got {shown(document)}")
    return document


def _is_json_with_nan(payload: bytes) -> bool:
    try:
        from_json(payload)
    except ValueError:
        return False
    return True


def _other_slab(channel: Channel, slab: object) -> EventError:
    text = f"slab must be {channel.slab}, the market of the subject, got {shown(slab)}"
    return EventError("mismatch", text)


def _validated(
    channel: Channel,
    fields: Mapping[str, Any],
    stored_ms: int,
    written: Mapping[str, Written],
) -> Event:
    """Make an event of its fields, numbers in whatever form. Raises EventError."""
    if "slab" in fields and fields["slab"] != channel.slab:
        raise _other_slab(channel, fields["slab"])
    try:
        known = {name: fields[name] for name in channel.kind.schema if name in fields}
        text = to_json(known | _canonical(channel.kind, known), inf_nan_mode="constants")
        event: Event = channel.kind.validator.validate_json(text)
    except PydanticSerializationError:
        raise EventError("invalid_json", "a field cannot be written as JSON") from None
    except ValidationError as error:
        raise _rejection(channel, error, fields, stored_ms, written) from None
    _check_times(event, channel.kind, stored_ms)
    return event


def _check_times(event: Event, kind: Kind, stored_ms: int) -> None:
    """Raise EventError if a time of an event cannot be right."""
    if not EARLIEST_MS <= event.timestamp <= stored_ms + MAX_AHEAD_MS:
        raise EventError("invalid_timestamp", time_fault(event.timestamp, stored_ms))
    for name in kind.times:
        time = getattr(event, name)
        if time is not None and not EARLIEST_MS <= time <= stored_ms + MAX_PLAN_MS:
            raise EventError(f"invalid_{name}", time_fault(time, stored_ms, name, MAX_PLAN_MS))


def _canonical(kind: Kind, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are numbers in strings, and not in the form that clients read."""
    forms = {
        name: form(fields[name])
        for name, form in kind.canonical.items()
        if isinstance(fields.get(name), str)
    }
    return {name: text for name, text in forms.items() if text is not None}


def _rejection(
    channel: Channel,
    error: ValidationError,
    fields: Mapping[str, Any],
    stored_ms: int,
    written: Mapping[str, Written],
) -> EventError:
    """Turn the first fault, in the order of the kind's fields, into an error."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return EventError("invalid_json", f"the event is not JSON: {faults[0]['msg']}")
    named = {str(fault["loc"][0]) for fault in faults}
    if "type" in named:
        text = f"type must be {channel.kind}, the kind of the subject, got {shown(fields['type'])}"
        return EventError("mismatch", text)
    name = next(field for field in (*channel.kind.fields, "timestamp") if field in named)
    text = fault(channel.kind, name, fields, stored_ms, written.get(name))
    return EventError(f"invalid_{name}", text)
