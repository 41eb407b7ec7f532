"""A gateway's HTTP answers, validated once, here: their shape, their numbers and their text.

A gateway may be of another version: unknown fields are kept, and those that an older one does not
have get a default. All text can be shown.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from percolator.model.kinds import KIND_OF_NAME, Rate, Timestamp, Usd
from percolator.printable import printable

MAX_NUMBER = 2**53 - 1
TEXT_CHARS = 1_000
"""Characters of a text that are kept."""


def _shown(text: str) -> str:
    return printable(text, TEXT_CHARS)


Count = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Amount = Annotated[float, Field(ge=0, le=MAX_NUMBER, allow_inf_nan=False)]
Shown = Annotated[str, AfterValidator(_shown)]


class Answer(BaseModel):
    """Part of an answer. `by_name` has every field that is shown, by its name on the wire."""

    model_config = ConfigDict(strict=True, extra="allow", alias_generator=to_camel)

    @property
    def by_name(self) -> dict[str, Any]:
        """The fields, with a default for each that the gateway does not have."""
        return self.model_dump(by_alias=True)

    @property
    def as_sent(self) -> dict[str, Any]:
        """The fields that the gateway has sent."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Limits(Answer):
    """The limits in force; 0 means no limit."""

    max_global_connections: Count = 0
    max_connections_per_slab: Count = 0
    max_connections_per_ip: Count = 0
    max_wildcard_connections: Count = 0
    max_channels_per_client: Count = 0
    max_message_bytes: Count = 0
    max_buffered_bytes: Count = 0
    messages_per_sec: Amount = 0
    message_burst: Count = 0
    attempts_per_sec: Amount = 0
    attempt_burst: Count = 0
    subscribe_timeout_seconds: Amount = 0


class Nats(Answer):
    """The gateway's connection to NATS."""

    connected: bool
    stream_seq: Count = 0
    lag: Count = 0


class Stats(Answer):
    """The answer of `/ws/stats`; `nats` is None if the gateway does not say."""

    total_connections: Count
    connections_per_slab: dict[Shown, Count] = Field(default_factory=dict)
    messages_per_sec: Amount = 0
    bytes_per_sec: Amount = 0
    limits: Limits = Field(default_factory=Limits)
    messages_sent_per_sec: Amount = 0
    messages_received_per_sec: Amount = 0
    bytes_sent_per_sec: Amount = 0
    bytes_received_per_sec: Amount = 0
    events_per_sec: Amount = 0
    clients_behind: Count = 0
    events_rejected: Count = 0
    rejected_connections: dict[Shown, Count] = Field(default_factory=dict)
    closed: dict[Shown, Count] = Field(default_factory=dict)
    uptime_seconds: Amount = 0
    nats: Nats | None = None


class Check(Answer):
    """One check of a gateway's health."""

    ok: bool
    reason: Shown = "no reason given"
    trouble: Shown = ""
    """What does not work as it should, though the check passes."""


class Health(Answer):
    """The answer of `/health`."""

    status: Shown
    checks: dict[Shown, Check] = Field(default_factory=dict)


class Newest(Answer):
    """The newest event of one kind of a market, with the fields that are shown."""

    timestamp: Timestamp
    price: Usd | None = None
    mark_price: Usd | None = None
    rate: Rate | None = None


def _events(market: object) -> object:
    """Leave only the events of a market: what else it has is not shown."""
    if not isinstance(market, dict):
        return market
    return {
        name: value
        for name, value in market.items()
        if isinstance(value, dict) or name in KIND_OF_NAME
    }


Market = Annotated[dict[str, Newest], BeforeValidator(_events)]


class Markets(Answer):
    """The answer of `/markets`: the newest events of each market, by kind."""

    markets: dict[Shown, Market]


class Rejection(Answer):
    """An event that was rejected, or only flagged.

    An older gateway sends only its seq, its subject and the reason.
    """

    seq: Count
    subject: Shown
    reason: Shown
    epoch: Shown = ""
    message: Shown = ""
    id: Shown | None = None
    payload: Shown = ""
    time: Timestamp | None = None
    accepted: bool = False


class Rejected(Answer):
    """The answer of `/rejected`: the newest of `total` rejections in this run of the gateway."""

    run: Shown
    total: Count
    rejected: list[Rejection]
