"""Events: what is accepted, in which unit, and the reason why the rest is rejected."""

import json
import re
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model import events
from percolator.model.events import (
    KINDS,
    MAX_EVENT_BYTES,
    MAX_SIZE,
    MAX_TIMESTAMP,
    REASONS,
    REJECTED_SUBJECT,
    SUBJECTS,
    Event,
    Funding,
    Kind,
    Price,
    Trade,
    channel_of,
    decode,
    parse_channel,
    parse_subject,
    subject_of,
    validate,
)

NATIVE: dict[Kind, dict[str, Any]] = {
    "price": {"price": 1.5, "markPrice": 1.51, "indexPrice": 1.49, "timestamp": 1234567890123},
    "trade": {"side": "long", "size": "1000000", "price": 1.5, "timestamp": 1234567890123},
    "funding": {"rate": "0.0001", "timestamp": 1234567890123},
}
EVENTS: dict[Kind, Event] = {
    "price": Price(price=1.5, markPrice=1.51, indexPrice=1.49, timestamp=1234567890123, slab="SOL"),
    "trade": Trade(side="long", size="1000000", price=1.5, timestamp=1234567890123, slab="SOL"),
    "funding": Funding(rate="0.0001", timestamp=1234567890123, slab="SOL"),
}
ENVELOPES: dict[Kind, str] = {
    "price": "price.updated",
    "trade": "trade.executed",
    "funding": "funding.updated",
}
IN_MILLIONTHS: dict[Kind, dict[str, Any]] = {
    "price": {"priceE6": 1500000, "markPriceE6": "1510000", "indexPriceE6": 1490000},
    "trade": {"side": "long", "size": "1000000", "priceE6": "1500000"},
    "funding": {"rateE6": 100},
}
slabs = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def native(kind: Kind, **changes: object) -> bytes:
    """Return a native event of a kind with some fields changed; None removes a field."""
    fields = NATIVE[kind] | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def envelope(kind: Kind, data: object, **changes: object) -> bytes:
    """Return an envelope of a kind around `data`."""
    fields = {"event": ENVELOPES[kind], "slabAddress": "SOL", "data": data, "timestamp": 1}
    return json.dumps(fields | changes).encode()


def nested(depth: int) -> list[object]:
    """Return nested lists with this many levels."""
    return [nested(depth - 1)] if depth else []


def reason_of(kind: Kind, payload: bytes, slab: str = "SOL") -> str:
    """Return the reason why a payload is rejected."""
    with pytest.raises(EventError) as rejected:
        decode(subject_of(kind, slab), payload)
    assert rejected.value.reason in REASONS
    return rejected.value.reason


# Names.


@given(st.sampled_from(KINDS), slabs)
def test_subject_and_channel_name_the_same_kind_and_slab(kind: Kind, slab: str) -> None:
    """Parsing either name returns the kind and the slab that it was built from."""
    assert parse_subject(subject_of(kind, slab)) == (kind, slab)
    assert parse_channel(channel_of(kind, slab)) == (kind, slab)


def test_the_names_are_the_documented_ones() -> None:
    """Singular on NATS, plural on the WebSocket."""
    assert [subject_of(kind, "SOL") for kind in KINDS] == [
        "percolator.price.SOL",
        "percolator.trade.SOL",
        "percolator.funding.SOL",
    ]
    assert [channel_of(kind, "SOL") for kind in KINDS] == ["price:SOL", "trades:SOL", "funding:SOL"]


def test_the_stream_does_not_include_published_rejections() -> None:
    """A rejection that came back as an event would be rejected again, forever."""
    assert not any(REJECTED_SUBJECT.startswith(subject.rstrip(">")) for subject in SUBJECTS)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "percolator",
        "percolator.price",
        "percolator.price.",
        "percolator.price.A.B",
        "percolator.prices.SOL",
        "percolator.trades.SOL",
        "percolator.price.SOL\n",
        "percolator.price.SÖL",
        "percolator.price.*",
        "other.price.SOL",
        "percolator.price." + "x" * 65,
    ],
)
def test_another_subject_is_rejected(subject: str) -> None:
    """A kind and one slab, and nothing else."""
    with pytest.raises(EventError) as rejected:
        decode(subject, native("price"))
    assert rejected.value.reason == "invalid_subject"


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "price",
        "price:",
        ":SOL",
        "price:SOL:junk",
        "trade:SOL",
        "Price:SOL",
        "price:SOL ",
        "price:SOL\n",
        "price:SÖL",
        "price:" + "x" * 65,
    ],
)
def test_another_channel_name_is_not_valid(channel: str) -> None:
    """Exactly one colon, a known kind before it, and a slab after it."""
    assert parse_channel(channel) is None


class Text(str):
    """A string that can be referenced weakly."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("text", ["price:SOL", "x" * 4096])
def test_a_channel_name_from_a_client_is_not_kept(text: str) -> None:
    """There is no end of such names, and memory must be bounded."""
    channel = Text(text)
    gone = weakref.ref(channel)
    parse_channel(channel)
    del channel
    assert gone() is None


# The native form.


@pytest.mark.parametrize("kind", KINDS)
def test_the_native_form_is_read(kind: Kind) -> None:
    """Each kind, with the slab of its subject."""
    assert decode(subject_of(kind, "SOL"), native(kind)) == EVENTS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_payload_may_repeat_type_and_slab(kind: Kind) -> None:
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


def test_unknown_fields_are_ignored() -> None:
    """A publisher may send more than we read."""
    assert decode("percolator.price.SOL", native("price", venue="x")) == EVENTS["price"]


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
        ("trade", {"side": "buy"}, "invalid_side"),
        ("trade", {"side": None}, "invalid_side"),
        ("trade", {"price": 0}, "invalid_price"),
        ("trade", {"size": 1000000}, "invalid_size"),
        ("trade", {"size": "-1"}, "invalid_size"),
        ("trade", {"size": "1.5"}, "invalid_size"),
        ("trade", {"size": ""}, "invalid_size"),
        ("trade", {"size": "1\n"}, "invalid_size"),
        ("trade", {"size": "\N{ARABIC-INDIC DIGIT ONE}"}, "invalid_size"),
        ("trade", {"size": "0" * 70}, "invalid_size"),
        ("trade", {"size": "9" * 5000}, "invalid_size"),
        ("trade", {"size": str(MAX_SIZE + 1)}, "invalid_size"),
        ("funding", {"rate": 0.0001}, "invalid_rate"),
        ("funding", {"rate": "1e-4"}, "invalid_rate"),
        ("funding", {"rate": "+1"}, "invalid_rate"),
        ("funding", {"rate": ".5"}, "invalid_rate"),
        ("funding", {"rate": "NaN"}, "invalid_rate"),
        ("funding", {"rate": "9" * 21}, "invalid_rate"),
    ],
)
def test_the_reason_names_the_invalid_field(
    kind: Kind, changes: dict[str, object], reason: str
) -> None:
    """Each field has a reason of its own."""
    assert reason_of(kind, native(kind, **changes)) == reason


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("price", {"price": 5e-324}),
        ("price", {"timestamp": 0}),
        ("price", {"timestamp": MAX_TIMESTAMP}),
        ("trade", {"side": "short"}),
        ("trade", {"size": "0"}),
        ("trade", {"size": str(MAX_SIZE)}),
        ("funding", {"rate": "-0.00000000000000000001"}),
        ("funding", {"rate": "9" * 20}),
    ],
)
def test_values_at_the_limits_are_read_unchanged(kind: Kind, changes: dict[str, object]) -> None:
    """Each limit itself is allowed."""
    event = decode(subject_of(kind, "SOL"), native(kind, **changes))
    assert {name: getattr(event, name) for name in changes} == changes


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


@pytest.mark.parametrize("kind", KINDS)
def test_the_envelope_is_read_in_millionths(kind: Kind) -> None:
    """The same event as in the native form, whatever form its integers have."""
    payload = envelope(kind, IN_MILLIONTHS[kind], timestamp=1234567890123)
    assert decode(subject_of(kind, "SOL"), payload) == EVENTS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_envelope_is_read_in_usd_if_no_key_ends_in_e6(kind: Kind) -> None:
    """The unit follows from the key, never from the size of the number."""
    data = {name: value for name, value in NATIVE[kind].items() if name != "timestamp"}
    payload = envelope(kind, data, timestamp=1234567890123)
    assert decode(subject_of(kind, "SOL"), payload) == EVENTS[kind]


def test_the_envelope_may_omit_the_slab() -> None:
    """The subject names it."""
    payload = b'{"event":"price.updated","data":{"priceE6":1500000},"timestamp":5}'
    assert decode("percolator.price.SOL", payload) == Price(price=1.5, timestamp=5, slab="SOL")


def test_type_and_slab_within_data_are_ignored() -> None:
    """In an envelope `event` and `slabAddress` name them."""
    payload = envelope("price", {"price": 1.5, "type": "x", "slab": "y"})
    assert decode("percolator.price.SOL", payload) == Price(price=1.5, timestamp=1, slab="SOL")


def test_a_null_mark_price_in_millionths_is_missing() -> None:
    """Indexers write null if they know none."""
    payload = envelope("price", {"priceE6": 1500000, "markPriceE6": None})
    assert decode("percolator.price.SOL", payload) == Price(price=1.5, timestamp=1, slab="SOL")


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
    assert event == Funding(rate=rate, timestamp=1, slab="SOL")


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
        ("price", envelope("price", {"price": 1, "extraE6": 1.5}), "invalid_event"),
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
        ("price", envelope("price", {"price": 1, "typeE6": 1}), "mismatch"),
        ("trade", envelope("trade", {"side": "long", "sizeE6": 1, "price": 1}), "invalid_size"),
        ("funding", envelope("funding", {"rateE6": "9" * 40}), "invalid_rate"),
    ],
)
def test_an_invalid_envelope_is_rejected(kind: Kind, payload: bytes, reason: str) -> None:
    """For the same reasons as the native form, and also if it contradicts itself."""
    assert reason_of(kind, payload) == reason


# Creating events.


@pytest.mark.parametrize("kind", KINDS)
def test_native_fields_make_an_event(kind: Kind) -> None:
    """As in a command that publishes one."""
    assert validate(kind, "SOL", NATIVE[kind]) == EVENTS[kind]


@pytest.mark.parametrize(
    ("slab", "changes", "reason"),
    [
        ("S.L", {}, "invalid_subject"),
        ("", {}, "invalid_subject"),
        ("\udcff", {}, "invalid_subject"),
        ("SOL", {"price": float("nan")}, "invalid_price"),
        ("SOL", {"price": float("inf")}, "invalid_price"),
        ("SOL", {"price": -1.0}, "invalid_price"),
        ("SOL", {"type": "trade"}, "mismatch"),
        ("SOL", {"price": "\udcff"}, "invalid_json"),
        ("SOL", {"price": nested(220)}, "invalid_json"),
        ("SOL", {"price": nested(400)}, "invalid_json"),
    ],
)
def test_invalid_fields_are_refused(slab: str, changes: dict[str, object], reason: str) -> None:
    """With the reason that `decode` would give."""
    with pytest.raises(EventError) as rejected:
        validate("price", slab, NATIVE["price"] | changes)
    assert rejected.value.reason == reason


# Any input.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = [
    *(*events.FIELDS, "type", "slab", "event", "slabAddress", "data"),
    *("priceE6", "markPriceE6", "sizeE6", "rateE6", "typeE6", "E6"),
]
VALUES = ["SOL", "price", "price.updated", "trade.executed", "long", "1", "9" * 39, "9" * 40]
plausible = st.dictionaries(
    st.sampled_from(NAMES), json_values | st.sampled_from(VALUES) | st.integers(0, 10**12)
)
documents = st.builds(lambda fields, data: fields | {"data": data}, plausible, plausible)
payloads = st.binary(max_size=64) | (json_values | plausible | documents).map(
    lambda value: json.dumps(value).encode()
)
subjects = st.builds(subject_of, st.sampled_from(KINDS), st.just("SOL")) | st.text(max_size=40)


def outcome(subject: str, payload: bytes) -> Event | EventError:
    """Decode a message from NATS; return an event or the reason of its rejection."""
    try:
        return decode(subject, payload)
    except EventError as error:
        return error


@given(subjects, payloads)
def test_any_message_is_an_event_or_rejected(subject: str, payload: bytes) -> None:
    """Only EventError is raised, with a known reason and a bounded text."""
    found = outcome(subject, payload)
    if isinstance(found, EventError):
        assert found.reason in REASONS
        assert len(str(found)) <= 300
    else:
        assert (found.type, found.slab) == parse_subject(subject)


@given(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.integers(0, MAX_TIMESTAMP),
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
