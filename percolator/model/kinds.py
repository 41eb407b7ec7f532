"""Kinds of events: one table, from which channels, subjects, messages and checks derive.

A new kind is one class of fields and one row of KINDS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass as validated
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import SchemaValidator, from_json

from percolator.model import decimals
from percolator.model.decimals import MAX_SIZE, RATE_DIGITS, RATE_PATTERN, SIZE_PATTERN, Canonical

Scalar = str | int | float | bool | None
"""What an extra field of an event may be."""

MAX_TIMESTAMP = 2**53 - 1
"""The largest integer that a browser reads without loss."""
TIME_RULE = "a whole number of Unix milliseconds"


_SIZE_DIGITS = len(str(MAX_SIZE))


def _check_size(digits: str) -> str:
    if len(digits) == _SIZE_DIGITS and int(digits) > MAX_SIZE:
        msg = "a size has at most 128 bits"
        raise ValueError(msg)
    return digits


def _check_step(text: str) -> str:
    if not text.strip("0."):
        msg = "a step is greater than 0"
        raise ValueError(msg)
    return text


# A description completes the sentence "FIELD must be ...", for the author of an event.
Usd = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="a number of USD greater than 0", examples=[1.5]),
]
Timestamp = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_TIMESTAMP,
        description=TIME_RULE,
        examples=[1_750_000_000_000],
    ),
]
Size = Annotated[
    str,
    StringConstraints(pattern=f"^{SIZE_PATTERN}$"),
    AfterValidator(_check_size),
    Canonical(decimals.size),
    Field(description="a whole number of base units, up to 128 bits", examples=["1000000"]),
]
Rate = Annotated[
    str,
    StringConstraints(pattern=f"^{RATE_PATTERN}$"),
    Canonical(decimals.rate),
    Field(
        description=(
            'a decimal number such as "0.0001", '
            f"with at most {RATE_DIGITS} digits before and after the point"
        ),
        examples=["0.0001"],
    ),
]
Step = Annotated[
    str,
    StringConstraints(pattern=f"^{RATE_PATTERN.removeprefix('-?')}$"),
    AfterValidator(_check_step),
    Canonical(decimals.rate),
    Field(description='a decimal number greater than 0, such as "0.001"', examples=["0.001"]),
]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,64}$"),
    Field(
        description="a name of 1 to 64 characters, none of them a control character",
        examples=["Solana"],
    ),
]
Status = Literal["active", "paused", "retired"]
STATUSES: tuple[str, ...] = get_args(Status)
Decimals = Annotated[
    int, Field(ge=0, le=38, description="a whole number from 0 to 38", examples=[9])
]
Hours = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="a number of hours greater than 0", examples=[8]),
]
Slab = Annotated[str, StringConstraints(min_length=1)]

_STRICT = ConfigDict(strict=True)


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has: its time in Unix milliseconds, the name of its kind, its market."""

    timestamp: Timestamp
    type: str
    slab: Slab = ""
    extra_json: SkipJsonSchema[bytes] = Field(default=b"", init=False, repr=False, exclude=True)
    """The fields that its kind does not have, as the inside of a JSON object."""

    @property
    def extra(self) -> dict[str, Scalar]:
        """The fields that its kind does not have, such as an id: text that the publisher wrote."""
        found: dict[str, Scalar] = from_json(b"{%b}" % self.extra_json)
        return found

    @property
    def kind(self) -> "Kind":
        """Its row of the table."""
        return KIND_OF_NAME[self.type]

    def values(self) -> dict[str, Any]:
        """Return the fields of its kind, without time and market."""
        return {name: getattr(self, name) for name in self.kind.fields}


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Price(Event):
    """A market's price and, if the publisher knows them, its mark and index price; in USD.

    `openInterest` is the size of all open positions of one side, in base units.
    """

    type: Literal["price"] = "price"
    price: Usd
    markPrice: Usd | None = None  # noqa: N815 - the given wire name
    indexPrice: Usd | None = None  # noqa: N815 - the given wire name
    openInterest: Size | None = None  # noqa: N815


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Trade(Event):
    """One execution: `size` in base units, a decimal string of up to 128 bits; `price` in USD."""

    type: Literal["trade"] = "trade"
    side: Literal["long", "short"]
    size: Size
    price: Usd


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Funding(Event):
    """A funding rate, a signed decimal string; per `intervalHours`, paid at `nextFundingTime`."""

    type: Literal["funding"] = "funding"
    rate: Rate
    intervalHours: Hours | None = None  # noqa: N815
    nextFundingTime: Timestamp | None = None  # noqa: N815


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Liquidation(Event):
    """A position that was closed by force: its side, and size and price as in a trade."""

    type: Literal["liquidation"] = "liquidation"
    side: Literal["long", "short"]
    size: Size
    price: Usd


@validated(config=_STRICT, frozen=True, slots=True, kw_only=True)
class Market(Event):
    """What a market is, and whether it is traded: each event replaces the one before it whole.

    A retired market is over. `displayName` is for people, `baseDecimals` is how many digits of a
    size are decimals, `tickSize` is the smallest step of its price, a decimal string of USD.
    """

    type: Literal["market"] = "market"
    status: Status
    displayName: Name | None = None  # noqa: N815 - the given wire name
    baseDecimals: Decimals | None = None  # noqa: N815 - the given wire name
    tickSize: Step | None = None  # noqa: N815 - the given wire name


@dataclass(frozen=True, eq=False, repr=False)
class Kind:
    """One kind of event. There is one object per kind, so that kinds compare by identity."""

    event: type[Event]
    prefix: str
    """How its channels begin: `trades` in `trades:SOL`."""
    lossless: bool
    """True: every event is delivered, with a `prev` chain. False: the latest wins."""
    snapshot: bool
    """True if a new subscriber gets the newest event."""
    conflation: float = 0.0
    """Seconds in which a client gets at most one event, if the latest wins."""
    envelope: str | None = None
    """Name of its E6 envelope, if it is a kind of the server that this one replaces.

    The legacy subscribe means these kinds.
    """

    @cached_property
    def name(self) -> str:
        """Its name in messages and subjects: `trade`."""
        name: str = self.event.__dataclass_fields__["type"].default
        return name

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that only this kind has, in the order of the wire."""
        common = Event.__dataclass_fields__
        return tuple(name for name in self.event.__dataclass_fields__ if name not in common)

    @cached_property
    def validator(self) -> SchemaValidator:
        """Checks a payload, and makes an event of it."""
        validator = TypeAdapter(self.event).validator
        assert isinstance(validator, SchemaValidator)
        return validator

    @cached_property
    def schema(self) -> dict[str, dict[str, Any]]:
        """The JSON Schema of each field, that of the value if a field may be null."""
        properties = TypeAdapter(self.event).json_schema()["properties"]
        return {name: found | found.get("anyOf", [{}])[0] for name, found in properties.items()}

    @cached_property
    def times(self) -> tuple[str, ...]:
        """The fields that are times, apart from its timestamp."""
        rules = ((name, self.schema[name].get("description")) for name in self.fields)
        return tuple(name for name, rule in rules if rule == TIME_RULE)

    @cached_property
    def canonical(self) -> dict[str, Callable[[str], str | None]]:
        """The canonical form of each field that is a number in a string."""
        hints = get_type_hints(self.event, include_extras=True)
        marks = {name: _mark(hints[name]) for name in self.fields}
        return {name: mark.form for name, mark in marks.items() if mark is not None}

    @cached_property
    def in_millionths(self) -> tuple[str, ...]:
        """The fields that an envelope may give in millionths."""
        if self.envelope is None:
            return ()
        numbers = (name for name in self.fields if self.schema[name]["type"] == "number")
        return (*numbers, *(name for name in self.fields if name == "rate"))

    def __repr__(self) -> str:
        return self.name


def _mark(hint: object) -> Canonical | None:
    """Return the mark of a type, `Size` or `Size | None`."""
    if isinstance(hint, Canonical):
        return hint
    return next(filter(None, map(_mark, get_args(hint))), None)


PRICE = Kind(
    Price, "price", lossless=False, snapshot=True, conflation=0.5, envelope="price.updated"
)
TRADE = Kind(Trade, "trades", lossless=True, snapshot=False, envelope="trade.executed")
FUNDING = Kind(Funding, "funding", lossless=True, snapshot=True, envelope="funding.updated")
LIQUIDATION = Kind(Liquidation, "liquidations", lossless=True, snapshot=False)
MARKET = Kind(Market, "market", lossless=False, snapshot=True, conflation=0.1)

KINDS = (PRICE, TRADE, FUNDING, LIQUIDATION, MARKET)

KIND_OF_NAME = {kind.name: kind for kind in KINDS}
KIND_OF_PREFIX = {kind.prefix: kind for kind in KINDS}
FIELDS = tuple(dict.fromkeys([*(name for kind in KINDS for name in kind.fields), "timestamp"]))
"""Every field that an event of some kind has."""
