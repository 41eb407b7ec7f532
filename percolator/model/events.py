"""Events: what publishers write to NATS, decoded and validated once, here and nowhere else.

Units are settled here too: behind `decode` a price is a float in USD, a size and a rate are
decimal strings. No I/O and no clock.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from percolator.errors import EventError
from percolator.model import envelope
from percolator.model.channel import SLAB, SLAB_RULE, Channel
from percolator.model.kinds import FIELDS, Event

MAX_EVENT_BYTES = 8_192
"""Longest payload of an event; the longest valid one takes some 400."""

REASONS = (
    *("too_large", "invalid_json", "invalid_subject", "mismatch", "invalid_event", "price_jump"),
    *(f"invalid_{name}" for name in FIELDS),
)
"""Every reason for which an event is rejected: a bounded set, so that it can be counted."""


Decode = Callable[[Channel, bytes], Event]
"""Decodes one event; `decoder` makes one."""


def decoder(*, require_slab: bool) -> Decode:
    """Return the function that decodes events; with `require_slab`, each must name its market.

    A stored event can then not be published again as another market's.
    """
    return partial(decode, require_slab=True) if require_slab else decode


def decode(channel: Channel, payload: bytes, *, require_slab: bool = False) -> Event:
    """Decode one event as it came from NATS, in its native form or in an E6 envelope.

    Raises EventError with one of REASONS; its text names the field, never the payload.
    """
    if len(payload) > MAX_EVENT_BYTES:
        raise EventError(
            "too_large", f"{len(payload)} bytes; an event has at most {MAX_EVENT_BYTES}"
        )
    try:
        event: Event = channel.kind.validator.validate_json(payload)
    except ValidationError as error:
        fields = _unwrapped(channel, payload, error, require_slab=require_slab)
        return validate(channel, fields)
    if event.slab != channel.slab:
        if event.slab:
            raise EventError("mismatch", "slab does not match the subject")
        if require_slab:
            raise EventError("mismatch", "slab is missing, and require_slab is on")
        # Events are frozen, but this one has not left this function yet.
        object.__setattr__(event, "slab", channel.slab)
    return event


def validate(channel: Channel, fields: dict[str, Any]) -> Event:
    """Make an event of native fields, as `decode` would. Raises EventError."""
    if not SLAB.fullmatch(channel.slab):
        text = f"{channel.slab[:64]!r} is not a valid market name ({SLAB_RULE})"
        raise EventError("invalid_subject", text)
    try:
        text = to_json({**fields, "slab": channel.slab}, inf_nan_mode="constants").decode()
        event: Event = channel.kind.validator.validate_json(text)
    except PydanticSerializationError:
        raise EventError("invalid_json", "a field cannot be written as JSON") from None
    except ValidationError as error:
        raise _rejection(channel, error) from None
    return event


def _unwrapped(
    channel: Channel, payload: bytes, error: ValidationError, *, require_slab: bool
) -> dict[str, Any]:
    """Return the fields of an envelope; raises EventError for `error` if it is not one."""
    try:
        document = from_json(payload, allow_inf_nan=False)
    except ValueError:
        raise EventError("invalid_json", "the payload is not JSON") from None
    if not isinstance(document, dict) or "event" not in document:
        raise _rejection(channel, error) from None
    return envelope.unwrap(channel, document, require_slab=require_slab)


def _rejection(channel: Channel, error: ValidationError) -> EventError:
    """Turn the first fault, in the order of the kind's fields, into an error."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return EventError("invalid_json", "the payload is not JSON")
    named = {str(fault["loc"][0]) if fault["loc"] else "": fault for fault in reversed(faults)}
    name = next((field for field in channel.kind.fields if field in named), next(iter(named)))
    first = named[name]
    if name in ("type", "slab"):
        return EventError("mismatch", f"{name} does not match the subject")
    reason = f"invalid_{name}" if name in FIELDS else "invalid_event"
    return EventError(reason, f"{name or 'event'}: {first['msg']}")
