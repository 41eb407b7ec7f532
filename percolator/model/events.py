"""Events: what publishers write to NATS, decoded and validated once, here and nowhere else.

Units are settled here too: behind `decode` a price is a float in USD, a size and a rate are
decimal strings. Subjects and channels are named here, since both are names of (kind, slab).
No I/O and no clock.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticSerializationError, from_json, to_json

from percolator.errors import EventError

Kind = Literal["price", "trade", "funding"]
KINDS: tuple[Kind, ...] = ("price", "trade", "funding")

SUBJECT_PREFIX = "percolator"
SUBJECTS = tuple(f"{SUBJECT_PREFIX}.{kind}.>" for kind in KINDS)
"""What the stream takes. `>` and not `*`, so that a malformed subject is seen and reported."""
REJECTED_SUBJECT = f"{SUBJECT_PREFIX}.rejected"

MAX_EVENT_BYTES = 8_192
"""A larger payload is not an event. The longest that is takes some 400 bytes."""

SLAB = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIELDS = ("price", "markPrice", "indexPrice", "side", "size", "rate", "timestamp")
REASONS = (
    *("too_large", "invalid_json", "invalid_subject", "mismatch", "invalid_event"),
    *(f"invalid_{name}" for name in FIELDS),
)
"""Every reason an event is rejected for: a bounded set, so that it can be counted."""

_CHANNEL_OF: dict[Kind, str] = {"price": "price", "trade": "trades", "funding": "funding"}
_KIND_OF: dict[str, Kind] = {name: kind for kind, name in _CHANNEL_OF.items()}
_ENVELOPES: dict[str, Kind] = {
    "price.updated": "price",
    "trade.executed": "trade",
    "funding.updated": "funding",
}

MAX_SIZE = 2**128 - 1
MAX_TIMESTAMP = 2**53 - 1
"""The largest integer that a browser reads without loss."""


def _size_fits(value: object) -> object:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and int(value[:64]) > MAX_SIZE
    ):
        msg = "a size has 128 bits at the most"
        raise ValueError(msg)
    return value


Usd = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Timestamp = Annotated[int, Field(ge=0, le=MAX_TIMESTAMP)]
Size = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,39}$"), BeforeValidator(_size_fits)]
Slab = Annotated[str, StringConstraints(min_length=1)]
RateText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$")]

_STRICT = ConfigDict(strict=True)


@dataclass(config=_STRICT, slots=True, kw_only=True)
class Price:
    """A market's price and, where the publisher knows them, its mark and index price; in USD."""

    price: Usd
    timestamp: Timestamp
    markPrice: Usd | None = None  # noqa: N815 - the given wire name
    indexPrice: Usd | None = None  # noqa: N815 - the given wire name
    type: Literal["price"] = "price"
    slab: Slab = ""


@dataclass(config=_STRICT, slots=True, kw_only=True)
class Trade:
    """One execution: `size` in base units, a decimal string of up to 128 bits; `price` in USD."""

    side: Literal["long", "short"]
    size: Size
    price: Usd
    timestamp: Timestamp
    type: Literal["trade"] = "trade"
    slab: Slab = ""


@dataclass(config=_STRICT, slots=True, kw_only=True)
class Funding:
    """A funding rate, a signed decimal string."""

    rate: RateText
    timestamp: Timestamp
    type: Literal["funding"] = "funding"
    slab: Slab = ""


Event = Price | Trade | Funding

_VALIDATE = {
    "price": TypeAdapter(Price).validator,
    "trade": TypeAdapter(Trade).validator,
    "funding": TypeAdapter(Funding).validator,
}


def subject_of(kind: Kind, slab: str) -> str:
    """Name the subject of a market's events of one kind."""
    return f"{SUBJECT_PREFIX}.{kind}.{slab}"


def channel_of(kind: Kind, slab: str) -> str:
    """Name the channel of a market's events of one kind."""
    return f"{_CHANNEL_OF[kind]}:{slab}"


@lru_cache(maxsize=16_384)
def parse_subject(subject: str) -> tuple[Kind, str]:
    """Split a subject into kind and slab. Raises EventError, reason `invalid_subject`."""
    prefix, _, rest = subject.partition(".")
    kind, _, slab = rest.partition(".")
    if prefix != SUBJECT_PREFIX or kind not in KINDS or not SLAB.fullmatch(slab):
        raise EventError("invalid_subject", f"{subject[:64]!r} names no kind and slab")
    return kind, slab


def parse_channel(channel: str) -> tuple[Kind, str] | None:
    """Split a channel into kind and slab; None where it is no channel.

    Not cached, as subjects are: a client may make up as many texts as it likes.
    """
    name, _, slab = channel.partition(":")
    kind = _KIND_OF.get(name)
    return (kind, slab) if kind and SLAB.fullmatch(slab) else None


def decode(subject: str, payload: bytes) -> Event:
    """Decode one event as it came from NATS, native form or E6 envelope.

    Raises EventError with a reason out of REASONS; its text names the field, never the payload.
    """
    kind, slab = parse_subject(subject)
    if len(payload) > MAX_EVENT_BYTES:
        raise EventError(
            "too_large", f"{len(payload)} bytes; an event has {MAX_EVENT_BYTES} at the most"
        )
    try:
        event: Event = _VALIDATE[kind].validate_json(payload)
    except ValidationError as error:
        event = _from_envelope(kind, slab, payload, error)
    if event.slab != slab:
        if event.slab:
            raise EventError("mismatch", "slab is not the one of the subject")
        event.slab = slab
    return event


def validate(kind: Kind, slab: str, fields: dict[str, Any]) -> Event:
    """Make an event out of native fields, as `decode` would. Raises EventError."""
    if not SLAB.fullmatch(slab):
        raise EventError(
            "invalid_subject", f"{slab[:64]!r} is no slab: [A-Za-z0-9_-], 1 to 64 of them"
        )
    try:
        text = to_json({**fields, "slab": slab}, inf_nan_mode="constants")
        event: Event = _VALIDATE[kind].validate_json(text)
    except PydanticSerializationError:
        raise EventError("invalid_json", "a field cannot be written as JSON") from None
    except ValidationError as error:
        raise _rejection(error) from None
    return event


def _from_envelope(kind: Kind, slab: str, payload: bytes, error: ValidationError) -> Event:
    """Read `{"event":"price.updated","slabAddress":…,"data":{…E6},"timestamp":…}`."""
    try:
        document = from_json(payload, allow_inf_nan=False)
    except ValueError:
        raise EventError("invalid_json", "the payload is not JSON") from None
    if not isinstance(document, dict) or "event" not in document:
        raise _rejection(error) from None
    name, data = document["event"], document.get("data")
    if not isinstance(name, str) or _ENVELOPES.get(name) != kind:
        raise EventError("mismatch", "event is not the one of the subject")
    if document.get("slabAddress", slab) != slab:
        raise EventError("mismatch", "slabAddress is not the one of the subject")
    if not isinstance(data, dict):
        raise EventError("invalid_event", "data must be an object")
    fields = {key: value for key, value in data.items() if key not in ("type", "slab")}
    for key in [key for key in fields if key.endswith("E6")]:
        if key[:-2] in fields:
            raise EventError("invalid_event", f"{key[:-2]} stands there in two units"[:64])
        fields[key[:-2]] = _from_millionths(key[:-2], fields.pop(key))
    return validate(kind, slab, fields | {"timestamp": document.get("timestamp")})


def _from_millionths(name: str, value: object) -> float | str | None:
    """Turn an integer, or its text, of millionths into USD; a rate into its decimal text."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool | float) or not re.fullmatch(r"-?[0-9]{1,40}", text):
        reason = f"invalid_{name}" if name in FIELDS else "invalid_event"
        raise EventError(reason, f"{name[:32]}E6 must be an integer of millionths")
    exact = Decimal(text).scaleb(-6)
    return format(exact.normalize(), "f") if name == "rate" else float(exact)


def _rejection(error: ValidationError) -> EventError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return EventError("invalid_json", "the payload is not JSON")
    name = str(first["loc"][0]) if first["loc"] else ""
    if name in ("type", "slab"):
        return EventError("mismatch", f"{name} is not the one of the subject")
    reason = f"invalid_{name}" if name in FIELDS else "invalid_event"
    return EventError(reason, f"{name or 'event'}: {first['msg']}")
