"""Server messages: what a gateway sends, as its clients read it. Validated once, here.

Behind `read`, types, ranges and lengths are settled, and all text can be shown. No state, no I/O,
no clock.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic.dataclasses import dataclass as validated
from pydantic_core import SchemaValidator, from_json

from percolator.errors import MessageError
from percolator.model.channel import SLAB, Channel
from percolator.model.extras import extras
from percolator.model.kinds import KIND_OF_NAME, Event, Kind
from percolator.printable import printable

MAX_MESSAGE_BYTES = 2**20
"""A client closes the connection at a longer message. Those of a gateway have a few kilobytes."""
MAX_SEQ = 2**53 - 1
"""The largest integer that a browser reads without loss."""
MAX_RECONNECT_MS = 60_000
"""A client waits no longer, whatever a closing gateway asks for."""
TEXT_CHARS = 1_000
"""Characters of a gateway's text that are kept."""


def _shown(text: str) -> str:
    return printable(text, TEXT_CHARS)


def _wait(value: object) -> float | None:
    """Return a wait within its bounds; None for what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) == math.inf:
        return None
    return float(min(max(value, 0), MAX_RECONNECT_MS))


Seq = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Shown = Annotated[str, AfterValidator(_shown)]
Epoch = Annotated[str, Field(min_length=1, max_length=128)]

RequestId = int | str | None
"""What a reply repeats of its request; None if the request had no id."""

_STRICT = ConfigDict(strict=True)


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Limits:
    """What a gateway takes from one client; 0 means no limit.

    The defaults are for an older gateway, which does not say.
    """

    messageBytes: Seq = 4_096  # noqa: N815 - the wire's name
    messagesPerSecond: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10  # noqa: N815
    messageBurst: Seq = 20  # noqa: N815
    channels: Seq = 50
    replay: Seq = 10_000


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class FeedState:
    """Whether the gateway hears from NATS: `live`, or `stale` since then, in Unix milliseconds."""

    state: str = "live"
    since: Seq | None = None


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Connected:
    """The greeting: the stream's epoch, and the seq that the gateway has read."""

    epoch: Epoch
    seq: Seq
    limits: Limits = Field(default_factory=Limits)
    heartbeatMs: Seq = 0  # noqa: N815 - the wire's name
    """Milliseconds of silence after which a heartbeat is sent; 0 means none is."""
    feed: FeedState = Field(default_factory=FeedState)
    type: Literal["connected"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class FeedChange(FeedState):
    """The feed has become live or stale. A live one has read up to `seq`."""

    seq: Seq | None = None
    type: Literal["feed"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life: every event up to `seq` of what the client follows has been sent to it."""

    seq: Seq
    type: Literal["heartbeat"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The reply to a subscribe: the channels that are in force.

    `unknown` are those of them that have no event yet: their names may be mistyped.
    """

    channels: list[str]
    unknown: list[Shown] = Field(default_factory=list)
    id: RequestId = None
    type: Literal["subscribed"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Authenticated:
    """The reply to a token: it is valid."""

    id: RequestId = None
    type: Literal["authenticated"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Pong:
    """The reply to a JSON ping."""

    type: Literal["pong"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Missing:
    """A gap: events of a channel after one seq and before another are lost."""

    channel: str
    after: Seq = Field(alias="from")
    before: Seq = Field(alias="to")
    epoch: Epoch | None = None
    type: Literal["gap"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Refused:
    """An error: a request, or one channel of it, that was refused.

    `count` is set with the code `more_errors`: how many more errors the request has.
    """

    code: Shown
    message: Shown
    channel: Shown | None = None
    count: Seq = 0
    id: RequestId = None
    type: Literal["error"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Closing:
    """The announcement of a planned shutdown; None if it does not say when to come back."""

    reconnectInMs: Annotated[float | None, BeforeValidator(_wait)] = None  # noqa: N815 - the wire's name
    type: Literal["closing"]


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Stamp:
    """What an event's message has beside the event."""

    seq: Seq
    prev: Seq | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it is delivered. `prev` is None if it is not known, or the kind has none."""

    channel: str
    seq: int
    prev: int | None
    snapshot: bool
    event: Event


ServerMessage = (
    Connected | FeedChange | Heartbeat | Subscribed | Authenticated | Pong | Missing | Refused
    | Closing | Delivery
)  # fmt: skip

_TYPES: Mapping[str, type] = {
    "connected": Connected,
    "feed": FeedChange,
    "heartbeat": Heartbeat,
    "subscribed": Subscribed,
    "authenticated": Authenticated,
    "pong": Pong,
    "gap": Missing,
    "error": Refused,
    "closing": Closing,
}


def read(text: str | bytes) -> ServerMessage | None:
    """Read one text message; None if it is of a type that this client need not know.

    Raises MessageError, which says what is wrong with it.
    """
    try:
        fields = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise MessageError("not JSON") from None
    name = fields.get("type") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        raise MessageError("not an object with a type")
    kind = KIND_OF_NAME.get(name)
    if kind is not None:
        return _delivery(kind, text, fields)
    if name not in _TYPES:
        return None
    message: ServerMessage = _validated(_validator(_TYPES[name]), text, name)
    return message


def _delivery(kind: Kind, text: str | bytes, fields: Mapping[str, Any]) -> Delivery:
    stamp: Stamp = _validated(_validator(Stamp), text, kind.name)
    prev = stamp.prev if kind.lossless else None
    if prev is not None and prev >= stamp.seq:
        raise MessageError(f"{kind} whose prev is not valid")
    event: Event = _validated(kind.validator, text, kind.name)
    if not SLAB.fullmatch(event.slab):
        raise MessageError(f"{kind} whose slab is not valid")
    if added := extras(kind, fields, text if isinstance(text, bytes) else text.encode()):
        # Events are frozen, but this one has not left this file yet.
        object.__setattr__(event, "extra_json", added)
    return Delivery(Channel(kind, event.slab).name, stamp.seq, prev, stamp.snapshot, event)


@cache
def _validator(of: type) -> SchemaValidator:
    validator = TypeAdapter(of).validator
    assert isinstance(validator, SchemaValidator)
    return validator


def _validated(validator: SchemaValidator, text: str | bytes, name: str) -> Any:  # noqa: ANN401 - what it validates
    """Validate a message. Raises MessageError, which names the first fault."""
    try:
        return validator.validate_json(text)
    except Invalid as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(fault["loc"][0]) if fault["loc"] else "form"
    if fault["type"] == "missing":
        raise MessageError(f"{name} without {field}")
    raise MessageError(f"{name} whose {field} is not valid")
