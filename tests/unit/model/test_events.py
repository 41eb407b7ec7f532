"""Events: what is accepted, in which unit, and the reason why the rest is rejected."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.decimals import MAX_SIZE
from percolator.model.events import MAX_EVENT_BYTES, REASONS, validate
from percolator.model.kinds import (
    FIELDS,
    MAX_TIMESTAMP,
    Event,
    Funding,
    Liquidation,
    Market,
    Price,
    Trade,
)
from percolator.model.times import EARLIEST_MS, MAX_AHEAD_MS
from tests.channels import KIND_NAMES, STORED_MS, channel_of, decode, subject_of

NATIVE: dict[str, dict[str, Any]] = {
    "price": {"price": 1.5, "markPrice": 1.51, "indexPrice": 1.49, "timestamp": 1234567890123},
    "trade": {"side": "long", "size": "1000000", "price": 1.5, "timestamp": 1234567890123},
    "funding": {"rate": "0.0001", "timestamp": 1234567890123},
    "liquidation": {"side": "short", "size": "7", "price": 1.5, "timestamp": 1234567890123},
    "market": {
        "status": "paused",
        "displayName": "Solana €",
        "baseDecimals": 9,
        "tickSize": "0.001",
        "timestamp": 1234567890123,
    },
}
EVENTS: dict[str, Event] = {
    "price": Price(price=1.5, markPrice=1.51, indexPrice=1.49, timestamp=1234567890123, slab="SOL"),
    "trade": Trade(side="long", size="1000000", price=1.5, timestamp=1234567890123, slab="SOL"),
    "funding": Funding(rate="0.0001", timestamp=1234567890123, slab="SOL"),
    "liquidation": Liquidation(
        side="short", size="7", price=1.5, timestamp=1234567890123, slab="SOL"
    ),
}
EVENTS["market"] = Market(
    status="paused",
    displayName="Solana €",
    baseDecimals=9,
    tickSize="0.001",
    timestamp=1234567890123,
    slab="SOL",
)
ENVELOPES: dict[str, str] = {
    "price": "price.updated",
    "trade": "trade.executed",
    "funding": "funding.updated",
}
"""The kinds that have one."""
IN_MILLIONTHS: dict[str, dict[str, Any]] = {
    "price": {"priceE6": 1500000, "markPriceE6": "1510000", "indexPriceE6": 1490000},
    "trade": {"side": "long", "size": "1000000", "priceE6": "1500000"},
    "funding": {"rateE6": 100},
}
BARE = Price(price=1.5, timestamp=STORED_MS, slab="SOL")
slabs = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def native(kind: str, **changes: object) -> bytes:
    """Return a native event of a kind with some fields changed; None removes a field."""
    fields = NATIVE[kind] | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def envelope(kind: str, data: object, **changes: object) -> bytes:
    """Return an envelope of a kind around `data`."""
    fields = {"event": ENVELOPES[kind], "slabAddress": "SOL", "data": data, "timestamp": STORED_MS}
    return json.dumps(fields | changes).encode()


def nested(depth: int) -> list[object]:
    """Return nested lists with this many levels."""
    return [nested(depth - 1)] if depth else []


def reason_of(kind: str, payload: bytes, slab: str = "SOL") -> str:
    """Return the reason why a payload is rejected."""
    with pytest.raises(EventError) as rejected:
        decode(subject_of(kind, slab), payload)
    assert rejected.value.reason in REASONS
    return rejected.value.reason


# The native form.


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_native_form_is_read(kind: str) -> None:
    """Each kind, with the slab of its subject."""
    assert decode(subject_of(kind, "SOL"), native(kind)) == EVENTS[kind]


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_payload_may_repeat_type_and_slab(kind: str) -> None:
    """If they agree with the subject, they change nothing."""
    assert decode(subject_of(kind, "SOL"), native(kind, type=kind, slab="SOL")) == EVENTS[kind]


@pytest.mark.parametrize(
    "changes", [{"type": "trade"}, {"type": ""}, {"slab": "sol"}, {"slab": ""}, {"slab": 1}]
)
def test_type_and_slab_must_agree_with_the_subject(changes: dict[str, object]) -> None:
    """An empty name does not agree either."""
    assert reason_of("price", native("price", **changes)) == "mismatch"


def test_mark_and_index_price_may_be_missing() -> None:
    """Not every publisher knows them."""
    event = decode("percolator.price.SOL", native("price", markPrice=None, indexPrice=None))
    assert event == Price(price=1.5, timestamp=1234567890123, slab="SOL")


def test_a_market_need_not_be_described() -> None:
    """Its status is enough."""
    event = decode("percolator.market.SOL", b'{"status":"active","timestamp":1234567890123}')
    assert event == Market(status="active", timestamp=1234567890123, slab="SOL")


def test_unknown_fields_are_the_extras_of_an_event() -> None:
    """A publisher may send more than we read; the event is otherwise the same."""
    event = decode("percolator.price.SOL", native("price", venue="x", slot=2**64 - 1))
    assert event.extra == {"venue": "x", "slot": 2**64 - 1}
    assert event.values() == EVENTS["price"].values()
    assert EVENTS["price"].extra == {}


@pytest.mark.parametrize("name", ["extra", "extra_json", "values"])
def test_an_extra_may_have_the_name_of_an_attribute(name: str) -> None:
    """Such an extra does not replace the attribute."""
    event = decode("percolator.price.SOL", native("price", **{name: "x"}))
    assert event.extra == {name: "x"}
    assert event.values() == EVENTS["price"].values()


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("price", {"price": -1}, "invalid_price"),
        ("price", {"price": 0}, "invalid_price"),
        ("price", {"price": -0.0}, "invalid_price"),
        ("price", {"price": "1.5"}, "invalid_price"),
        ("price", {"price": True}, "invalid_price"),
        ("price", {"price": None}, "invalid_price"),
        ("price", {"price": 10**400}, "invalid_price"),
        ("price", {"markPrice": -1}, "invalid_markPrice"),
        ("price", {"indexPrice": "x"}, "invalid_indexPrice"),
        ("price", {"timestamp": None}, "invalid_timestamp"),
        ("price", {"timestamp": -1}, "invalid_timestamp"),
        ("price", {"timestamp": 1.5}, "invalid_timestamp"),
        ("price", {"timestamp": "1"}, "invalid_timestamp"),
        ("price", {"timestamp": MAX_TIMESTAMP + 1}, "invalid_timestamp"),
        ("price", {"timestamp": EARLIEST_MS - 1}, "invalid_timestamp"),
        ("price", {"timestamp": STORED_MS + MAX_AHEAD_MS + 1}, "invalid_timestamp"),
        ("trade", {"side": "buy"}, "invalid_side"),
        ("trade", {"side": None}, "invalid_side"),
        ("trade", {"price": 0}, "invalid_price"),
        ("trade", {"size": 1000000}, "invalid_size"),
        ("trade", {"size": "-1"}, "invalid_size"),
        ("trade", {"size": "1.5"}, "invalid_size"),
        ("trade", {"size": ""}, "invalid_size"),
        ("trade", {"size": "1\n"}, "invalid_size"),
        ("trade", {"size": "\N{ARABIC-INDIC DIGIT ONE}"}, "invalid_size"),
        ("trade", {"size": "1e39"}, "invalid_size"),
        ("trade", {"size": "1e-1"}, "invalid_size"),
        ("trade", {"size": "1e9999999"}, "invalid_size"),
        ("trade", {"size": "9" * 5000}, "invalid_size"),
        ("trade", {"size": str(MAX_SIZE + 1)}, "invalid_size"),
        ("price", {"openInterest": 5}, "invalid_openInterest"),
        ("price", {"openInterest": "-5"}, "invalid_openInterest"),
        ("funding", {"intervalHours": 0}, "invalid_intervalHours"),
        ("funding", {"intervalHours": "8"}, "invalid_intervalHours"),
        ("funding", {"nextFundingTime": 1.5}, "invalid_nextFundingTime"),
        ("funding", {"nextFundingTime": 1_750_000_000}, "invalid_nextFundingTime"),
        ("funding", {"rate": 0.0001}, "invalid_rate"),
        ("funding", {"rate": "1e-41"}, "invalid_rate"),
        ("funding", {"rate": "1e999999"}, "invalid_rate"),
        ("funding", {"rate": "."}, "invalid_rate"),
        ("funding", {"rate": "1_000"}, "invalid_rate"),
        ("funding", {"rate": " 1"}, "invalid_rate"),
        ("funding", {"rate": "NaN"}, "invalid_rate"),
        ("funding", {"rate": "Infinity"}, "invalid_rate"),
        ("funding", {"rate": "9" * 41}, "invalid_rate"),
        ("funding", {"rate": "9" * 8_000}, "invalid_rate"),
        ("market", {"status": None}, "invalid_status"),
        ("market", {"status": "Active"}, "invalid_status"),
        ("market", {"displayName": ""}, "invalid_displayName"),
        ("market", {"displayName": "x" * 65}, "invalid_displayName"),
        ("market", {"displayName": "a\x1bb"}, "invalid_displayName"),
        ("market", {"displayName": 7}, "invalid_displayName"),
        ("market", {"baseDecimals": -1}, "invalid_baseDecimals"),
        ("market", {"baseDecimals": 39}, "invalid_baseDecimals"),
        ("market", {"baseDecimals": "9"}, "invalid_baseDecimals"),
        ("market", {"tickSize": "0.00"}, "invalid_tickSize"),
        ("market", {"tickSize": "-1"}, "invalid_tickSize"),
        ("market", {"tickSize": 0.01}, "invalid_tickSize"),
    ],
)
def test_the_reason_names_the_invalid_field(
    kind: str, changes: dict[str, object], reason: str
) -> None:
    """Each field has a reason of its own."""
    assert reason_of(kind, native(kind, **changes)) == reason


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("price", {"price": 5e-324}),
        ("price", {"timestamp": EARLIEST_MS}),
        ("price", {"timestamp": STORED_MS + MAX_AHEAD_MS}),
        ("trade", {"side": "short"}),
        ("trade", {"size": "0"}),
        ("trade", {"size": str(MAX_SIZE)}),
        ("funding", {"rate": f"-0.{'0' * 39}1"}),
        ("funding", {"rate": f"{'9' * 40}.{'9' * 40}"}),
        ("funding", {"rate": "-0.0"}),
        ("price", {"openInterest": str(MAX_SIZE)}),
        ("funding", {"intervalHours": 5e-324, "nextFundingTime": EARLIEST_MS}),
        ("funding", {"rate": "00.10"}),
        ("market", {"status": "retired"}),
        ("market", {"displayName": "⚡" * 64}),
        ("market", {"baseDecimals": 0}),
        ("market", {"baseDecimals": 38}),
        ("market", {"tickSize": "0.00000000000000000001"}),
    ],
)
def test_values_at_the_limits_are_read_unchanged(kind: str, changes: dict[str, object]) -> None:
    """Each limit itself is allowed."""
    event = decode(subject_of(kind, "SOL"), native(kind, **changes))
    assert {name: getattr(event, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("kind", "field", "written", "read"),
    [
        ("funding", "rate", "1e-7", "0.0000001"),
        ("funding", "rate", "-.5", "-0.5"),
        ("trade", "size", "1E+3", "1000"),
        ("liquidation", "size", "+7.0", "7"),
    ],
)
def test_numbers_in_strings_are_read_as_languages_write_them(
    kind: str, field: str, written: str, read: str
) -> None:
    """In the native form and in an envelope; clients get one form."""
    found = decode(subject_of(kind, "SOL"), native(kind, **{field: written}))
    assert found.values() == EVENTS[kind].values() | {field: read}
    assert decode(subject_of(kind, "SOL"), native(kind, slab="SOL", **{field: written})) == found
    if kind in ENVELOPES:
        data = NATIVE[kind] | {field: written}
        enveloped = envelope(kind, data, timestamp=data.pop("timestamp"))
        assert decode(subject_of(kind, "SOL"), enveloped) == found


@pytest.mark.parametrize("payload", [b"", b"x", b"{", b"\xff", b'{"price":NaN}', b"[" * 5000])
def test_invalid_json_is_rejected(payload: bytes) -> None:
    """NaN is not JSON either, and deep nesting is no way around it."""
    assert reason_of("price", payload) == "invalid_json"


@pytest.mark.parametrize("payload", [b"[]", b"null", b"1", b'"x"', b'[{"price":1}]'])
def test_json_that_is_not_an_object_is_rejected(payload: bytes) -> None:
    """An event is an object."""
    assert reason_of("price", payload) == "invalid_event"


def test_a_payload_that_is_too_large_is_rejected_before_it_is_parsed() -> None:
    """One byte over; the limit itself is allowed."""
    padding = " " * (MAX_EVENT_BYTES - len(native("price")))
    assert decode("percolator.price.SOL", native("price") + padding.encode()) == EVENTS["price"]
    assert reason_of("price", native("price") + padding.encode() + b" ") == "too_large"


# The envelope.


@pytest.mark.parametrize("kind", ENVELOPES)
def test_the_envelope_is_read_in_millionths(kind: str) -> None:
    """The same event as in the native form, whatever form its integers have."""
    payload = envelope(kind, IN_MILLIONTHS[kind], timestamp=1234567890123)
    assert decode(subject_of(kind, "SOL"), payload) == EVENTS[kind]


@pytest.mark.parametrize("kind", ENVELOPES)
def test_the_envelope_is_read_in_usd_if_no_key_ends_in_e6(kind: str) -> None:
    """The unit follows from the key, never from the size of the number."""
    data = {name: value for name, value in NATIVE[kind].items() if name != "timestamp"}
    payload = envelope(kind, data, timestamp=1234567890123)
    assert decode(subject_of(kind, "SOL"), payload) == EVENTS[kind]


def test_the_envelope_may_omit_the_slab() -> None:
    """The subject names it."""
    payload = b'{"event":"price.updated","data":{"priceE6":1500000},"timestamp":1750000000000}'
    assert decode("percolator.price.SOL", payload) == BARE


def test_type_and_slab_within_data_are_ignored() -> None:
    """In an envelope `event` and `slabAddress` name them."""
    payload = envelope("price", {"price": 1.5, "type": "x", "slab": "y"})
    assert decode("percolator.price.SOL", payload) == BARE


def test_a_null_mark_price_in_millionths_is_missing() -> None:
    """Indexers write null if they know none."""
    payload = envelope("price", {"priceE6": 1500000, "markPriceE6": None})
    assert decode("percolator.price.SOL", payload) == BARE


@pytest.mark.parametrize(
    ("millionths", "rate"),
    [
        (0, "0"),
        (-100, "-0.0001"),
        (1, "0.000001"),
        ("1000000", "1"),
        (10_000_000, "10"),
        ("9" * 26, "9" * 20 + ".999999"),
    ],
)
def test_a_rate_in_millionths_is_exact(millionths: int | str, rate: str) -> None:
    """Decimal digits, never through a float."""
    event = decode("percolator.funding.SOL", envelope("funding", {"rateE6": millionths}))
    assert event == Funding(rate=rate, timestamp=STORED_MS, slab="SOL")


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        ("price", envelope("trade", {"price": 1}), "mismatch"),
        ("price", envelope("price", {"price": 1}, event=1), "mismatch"),
        ("price", envelope("price", {"price": 1}, event=["price.updated"]), "mismatch"),
        ("price", envelope("price", {"price": 1}, slabAddress="BTC"), "mismatch"),
        ("price", envelope("price", {"price": 1}, slabAddress=None), "mismatch"),
        ("price", envelope("price", [1]), "invalid_event"),
        ("price", envelope("price", None), "invalid_event"),
        ("price", envelope("price", {"price": 1, "priceE6": 1000000}), "invalid_event"),
        ("price", envelope("price", {"priceE6": 1.5e6}), "invalid_price"),
        ("price", envelope("price", {"priceE6": "1.5"}), "invalid_price"),
        ("price", envelope("price", {"priceE6": "1\n"}), "invalid_price"),
        ("price", envelope("price", {"priceE6": True}), "invalid_price"),
        ("price", envelope("price", {"priceE6": [1]}), "invalid_price"),
        ("price", envelope("price", {"priceE6": "9" * 41}), "invalid_price"),
        ("price", envelope("price", {"priceE6": 0}), "invalid_price"),
        ("price", envelope("price", {"priceE6": None}), "invalid_price"),
        ("price", envelope("price", {}), "invalid_price"),
        ("price", envelope("price", {"price": 1}, timestamp=None), "invalid_timestamp"),
        ("price", envelope("price", {"price": 1}, timestamp="1"), "invalid_timestamp"),
        ("trade", envelope("trade", {"side": "long", "sizeE6": 1, "price": 1}), "invalid_size"),
        ("funding", envelope("funding", {"rateE6": "9" * 41}), "invalid_rate"),
    ],
)
def test_an_invalid_envelope_is_rejected(kind: str, payload: bytes, reason: str) -> None:
    """For the same reasons as the native form, and also if it contradicts itself."""
    assert reason_of(kind, payload) == reason


# Making events.


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_native_fields_make_an_event(kind: str) -> None:
    """As in a command that publishes one."""
    assert validate(channel_of(kind, "SOL"), NATIVE[kind], STORED_MS) == EVENTS[kind]


@pytest.mark.parametrize(
    ("slab", "changes", "reason"),
    [
        ("S.L", {}, "invalid_subject"),
        ("", {}, "invalid_subject"),
        ("\udcff", {}, "invalid_subject"),
        ("SOL", {"price": float("nan")}, "invalid_price"),
        ("SOL", {"price": float("inf")}, "invalid_price"),
        ("SOL", {"price": -1.0}, "invalid_price"),
        ("SOL", {"timestamp": 0}, "invalid_timestamp"),
        ("SOL", {"type": "trade"}, "mismatch"),
        ("SOL", {"price": "\udcff"}, "invalid_json"),
        ("SOL", {"price": nested(220)}, "invalid_json"),
        ("SOL", {"price": nested(400)}, "invalid_json"),
    ],
)
def test_invalid_fields_are_refused(slab: str, changes: dict[str, object], reason: str) -> None:
    """With the reason that `decode` would give."""
    with pytest.raises(EventError) as rejected:
        validate(channel_of("price", slab), NATIVE["price"] | changes, STORED_MS)
    assert rejected.value.reason == reason


# Whatever comes.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = [
    *(*FIELDS, "type", "slab", "event", "slabAddress", "data"),
    *("priceE6", "markPriceE6", "sizeE6", "rateE6", "typeE6", "E6"),
]
VALUES = ["SOL", "price", "price.updated", "trade.executed", "long", "1", "9" * 39, "9" * 40]
plausible = st.dictionaries(
    st.sampled_from(NAMES), json_values | st.sampled_from(VALUES) | st.integers(0, 2 * STORED_MS)
)
documents = st.builds(lambda fields, data: fields | {"data": data}, plausible, plausible)
payloads = st.binary(max_size=64) | (json_values | plausible | documents).map(
    lambda value: json.dumps(value).encode()
)
subjects = st.builds(subject_of, st.sampled_from(KIND_NAMES), st.just("SOL")) | st.text(max_size=40)


def outcome(subject: str, payload: bytes) -> Event | EventError | None:
    """Decode a message from NATS; return an event or the reason of its rejection."""
    try:
        channel = Channel.of_subject(subject)
        return None if channel is None else events.decode(channel, payload, STORED_MS)
    except EventError as error:
        return error


@given(subjects, payloads)
def test_any_message_is_an_event_or_rejected(subject: str, payload: bytes) -> None:
    """Only EventError is raised, with a known reason and a bounded text."""
    found = outcome(subject, payload)
    if isinstance(found, EventError):
        assert found.reason in REASONS
        assert len(str(found)) <= 300
    elif found is not None:
        assert (found.kind, found.slab) == Channel.of_subject(subject)


@given(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.integers(EARLIEST_MS, STORED_MS + MAX_AHEAD_MS),
    st.integers(0, MAX_SIZE),
    st.sampled_from(["long", "short"]),
    slabs,
)
def test_a_valid_trade_is_read_without_loss(
    price: float, timestamp: int, size: int, side: str, slab: str
) -> None:
    """To the last digit."""
    fields = {"side": side, "size": str(size), "price": price, "timestamp": timestamp}
    event = decode(subject_of("trade", slab), json.dumps(fields).encode())
    assert {name: getattr(event, name) for name in fields} == fields


@given(st.integers(-(10**26) + 1, 10**26 - 1))
def test_a_rate_in_millionths_keeps_every_digit(millionths: int) -> None:
    """The decimal string is the same number."""
    event = decode("percolator.funding.SOL", envelope("funding", {"rateE6": millionths}))
    assert isinstance(event, Funding)
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", event.rate)
    whole, _, part = event.rate.partition(".")
    assert int(whole + part.ljust(6, "0")) == millionths


# With require_slab.


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_with_require_slab_an_event_must_name_its_market(kind: str) -> None:
    """A stored event can then not be published again as another market's."""
    strict, channel = events.decoder(require_slab=True), channel_of(kind, "SOL")
    assert strict(channel, native(kind, slab="SOL"), STORED_MS) == EVENTS[kind]
    payloads = [native(kind), native(kind, slab="BTC")]
    payloads += [native("funding", rate="1e-7")] if kind == "funding" else []
    for payload in payloads:
        with pytest.raises(EventError) as rejected:
            strict(channel, payload, STORED_MS)
        assert rejected.value.reason == "mismatch"
    assert events.decoder(require_slab=False) is events.decode


@pytest.mark.parametrize("kind", ENVELOPES)
def test_with_require_slab_an_envelope_must_name_its_market(kind: str) -> None:
    """In its own field."""
    strict, channel = events.decoder(require_slab=True), channel_of(kind, "SOL")
    payload = envelope(kind, IN_MILLIONTHS[kind], timestamp=1234567890123)
    assert strict(channel, payload, STORED_MS) == EVENTS[kind]
    with pytest.raises(EventError) as rejected:
        strict(channel, payload.replace(b'"slabAddress": "SOL", ', b""), STORED_MS)
    assert rejected.value.reason == "mismatch"
