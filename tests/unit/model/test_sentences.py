"""Sentences for publishers: each names the field, the rule and what was found."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model.events import validate
from percolator.model.kinds import KIND_OF_NAME, KINDS
from percolator.model.sentences import SHOWN, fault, shown
from tests.channels import STORED_MS, channel_of, decode, subject_of

FIELDS: dict[str, dict[str, Any]] = {
    "price": {"price": 1.5},
    "trade": {"side": "long", "size": "1000000", "price": 1.5},
    "funding": {"rate": "0.0001"},
}
USD = "a number of USD greater than 0"
MS = "a whole number of Unix milliseconds"
SIZE = "a whole number of base units, up to 128 bits"
RATE = 'a decimal number such as "0.0001", with at most 40 digits before and after the point'
ABSENT = object()


def rejected(kind: str, payload: bytes) -> EventError:
    """Return the error of an event that is not valid."""
    with pytest.raises(EventError) as error:
        decode(subject_of(kind, "SOL"), payload)
    return error.value


def sentence(kind: str, **changes: object) -> str:
    """Return the sentence about an event with some fields changed; ABSENT removes one."""
    fields = {**FIELDS[kind], "timestamp": STORED_MS, **changes}
    written = {name: value for name, value in fields.items() if value is not ABSENT}
    return str(rejected(kind, json.dumps(written).encode()))


def enveloped(kind: str, data: dict[str, object], **changes: object) -> str:
    """Return the sentence about an envelope."""
    fields = {"event": KIND_OF_NAME[kind].envelope, "data": data, "timestamp": STORED_MS}
    return str(rejected(kind, json.dumps(fields | changes).encode()))


# What real producers have sent.


def test_a_producer_that_sends_no_price_learns_that_it_is_missing() -> None:
    """And that what it sends instead belongs in an envelope, or has another name."""
    assert sentence("trade", price=ABSENT) == f"price is missing: it must be {USD}"
    text = "price is missing: priceE6 belongs in the E6 envelope"
    assert sentence("trade", price=ABSENT, priceE6=150_000_000) == text


def test_a_producer_that_sends_0_for_unknown_learns_what_to_send_instead() -> None:
    """The event has no use without it; an optional field can be left out."""
    text = "price is 0: send the real value, or leave the event out if it is not known"
    assert sentence("trade", price=0) == text
    assert sentence("price", price=-0.0) == text
    text = "markPrice is 0: send the real value, or leave the field out if it is not known"
    assert sentence("price", markPrice=0) == text
    assert enveloped("price", {"priceE6": 0}).startswith("priceE6 is 0: send the real value")


# Each rule.


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        # The type is wrong, and the value shows what was meant.
        ("funding", {"rate": 0.0001}, 'rate must be a string: "0.0001", got the number 0.0001'),
        ("funding", {"rate": 1e-7}, 'rate must be a string: "0.0000001", got the number 1e-7'),
        ("funding", {"rate": 5}, 'rate must be a string: "5", got the number 5'),
        ("trade", {"size": 1_000}, 'size must be a string: "1000", got the number 1000'),
        ("trade", {"size": 1e3}, 'size must be a string: "1000", got the number 1000.0'),
        ("trade", {"price": "150.0"}, 'price must be a number: 150.0, got the string "150.0"'),
        (
            "trade",
            {"timestamp": str(STORED_MS)},
            f'timestamp must be a number: {STORED_MS}, got the string "{STORED_MS}"',
        ),
        # The type is wrong, and the value fits in no other way.
        ("trade", {"size": 1.5}, f"size must be {SIZE}, got the number 1.5"),
        ("trade", {"size": 10**60}, f"size must be {SIZE}, got a number of more than 48 digits"),
        ("trade", {"price": "-1"}, f'price must be {USD}, got the string "-1"'),
        ("trade", {"price": "much"}, f'price must be {USD}, got the string "much"'),
        ("trade", {"price": "NaN"}, f'price must be {USD}, got the string "NaN"'),
        ("trade", {"timestamp": "now"}, f'timestamp must be {MS}, got the string "now"'),
        ("trade", {"timestamp": "1.5"}, f'timestamp must be {MS}, got the string "1.5"'),
        ("trade", {"side": 1}, 'side must be "long" or "short", got the number 1'),
        ("trade", {"price": None}, f"price must be {USD}, got null"),
        ("trade", {"price": True}, f"price must be {USD}, got true"),
        ("trade", {"price": False}, f"price must be {USD}, got false"),
        ("trade", {"price": [1.5]}, f"price must be {USD}, got a list"),
        ("trade", {"size": {"value": 1}}, f"size must be {SIZE}, got an object"),
        ("funding", {"rate": None}, f"rate must be {RATE}, got null"),
        # The type is right, and the value is not.
        ("trade", {"price": -1}, f"price must be {USD}, got -1"),
        ("trade", {"side": "buy"}, 'side must be "long" or "short", got "buy"'),
        ("trade", {"size": "1.5"}, f'size must be {SIZE}, got "1.5"'),
        ("trade", {"size": ""}, f'size must be {SIZE}, got ""'),
        ("funding", {"rate": "1e-41"}, f'rate must be {RATE}, got "1e-41"'),
        ("trade", {"timestamp": 1.5}, f"timestamp must be {MS}, got 1.5"),
        ("trade", {"timestamp": -1}, f"timestamp must be {MS}, got -1"),
        (
            "trade",
            {"timestamp": 1_700_000_000.25},
            "timestamp must be in Unix milliseconds: 1700000000.25 looks like seconds",
        ),
        (
            "trade",
            {"timestamp": STORED_MS * 1_000_000},
            f"timestamp must be in Unix milliseconds: {STORED_MS}000000 looks like nanoseconds",
        ),
        # Missing, perhaps under another name.
        ("trade", {"side": ABSENT}, 'side is missing: it must be "long" or "short"'),
        (
            "funding",
            {"rate": ABSENT, "fundingRate": "1"},
            f'rate is missing: it must be {RATE}; the event has "fundingRate" instead',
        ),
        (
            "trade",
            {"timestamp": ABSENT, "time_stamp": 1},
            f'timestamp is missing: it must be {MS}; the event has "time_stamp" instead',
        ),
        (
            "trade",
            {"size": ABSENT, "sizes": "1", "fee": 1},
            f'size is missing: it must be {SIZE}; the event has "sizes" instead',
        ),
        # The subject.
        ("price", {"type": "trade"}, 'type must be price, the kind of the subject, got "trade"'),
        ("price", {"slab": "sol"}, 'slab must be SOL, the market of the subject, got "sol"'),
        ("price", {"slab": None}, "slab must be SOL, the market of the subject, got null"),
    ],
)
def test_a_sentence_names_the_field_the_rule_and_what_was_found(
    kind: str, changes: dict[str, object], text: str
) -> None:
    """In one line."""
    assert sentence(kind, **changes) == text


@pytest.mark.parametrize(
    ("kind", "data", "changes", "text"),
    [
        ("price", {"priceE6": 1.5}, {}, "priceE6 must be an integer of millionths, got 1.5"),
        ("price", {"priceE6": "x"}, {}, 'priceE6 must be an integer of millionths, got "x"'),
        ("price", {"priceE6": -5}, {}, f"priceE6 must be {USD} in millionths, got -5"),
        ("price", {"priceE6": "-5"}, {}, f'priceE6 must be {USD} in millionths, got "-5"'),
        ("price", {"priceE6": None}, {}, f"priceE6 must be {USD} in millionths, got null"),
        ("price", {"price": "1"}, {}, 'price must be a number: 1.0, got the string "1"'),
        ("price", {}, {}, f"price is missing: it must be {USD}"),
        (
            "trade",
            {"side": "long", "sizeE6": 1, "price": 1},
            {},
            f'size is missing: it must be {SIZE}; the event has "sizeE6" instead',
        ),
        (
            "price",
            {"price": 1, "priceE6": 1},
            {},
            "price is given in two units: price and priceE6",
        ),
        (
            "price",
            {},
            {"event": "trade.executed"},
            'event must be price.updated on the subject of a price, got "trade.executed"',
        ),
        (
            "price",
            {},
            {"slabAddress": 1},
            "slabAddress must be SOL, the market of the subject, got 1",
        ),
        ("liquidation", {}, {}, "a liquidation has no envelope: use the native form"),
    ],
)
def test_a_sentence_about_an_envelope_names_its_own_keys(
    kind: str, data: dict[str, object], changes: dict[str, object], text: str
) -> None:
    """With the values that the publisher wrote."""
    assert enveloped(kind, data, **changes) == text


def test_the_data_of_an_envelope_must_be_an_object() -> None:
    """Otherwise it has no fields."""
    payload = b'{"event":"price.updated","data":[1]}'
    assert str(rejected("price", payload)) == "data must be an object, got a list"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "the event is not JSON: EOF while parsing a value at line 1 column 0"),
        (b"price: 1.5", "the event is not JSON: expected value at line 1 column 1"),
        (b'{"price":NaN}', "the event is not JSON: NaN and Infinity are not JSON numbers"),
        (b"[1.5]", "an event must be a JSON object, got a list"),
        (b'"{}"', 'an event must be a JSON object, got "{}"'),
    ],
)
def test_what_is_no_json_object_is_described(payload: bytes, text: str) -> None:
    """With the place of the fault."""
    assert str(rejected("price", payload)) == text


def test_what_names_an_event_that_no_envelope_has_is_in_the_native_form() -> None:
    """The sentence is about its fields."""
    assert sentence("trade", event="fill", side="buy").startswith("side must be")


def test_what_a_publisher_wrote_is_cut_and_cannot_control_a_terminal() -> None:
    """Also the names of its fields."""
    assert shown("\x1b[2J") == r'"\x1b[2J"'
    assert len(shown("x" * 1_000)) < SHOWN + 10
    changes = {"rate": ABSENT, "\x1b[2Jrate" + "x" * 200: 1}
    text = sentence("funding", **changes)
    assert text.isprintable()
    assert len(text) < 250


def test_a_missing_field_is_compared_with_few_others() -> None:
    """However many the event has."""
    others = {f"x{number}": 1 for number in range(100)}
    assert "instead" not in sentence("funding", rate=ABSENT, **others, fundingRate=1)


def test_a_field_without_a_description_has_a_sentence_too() -> None:
    """A kind of a later version may have one."""
    kind = KIND_OF_NAME["price"]
    assert fault(kind, "slab", {"slab": "a"}, 0) == 'slab must be a valid string, got "a"'


def test_every_field_of_every_kind_has_a_description() -> None:
    """It completes the sentence "FIELD must be ..."."""
    for kind in KINDS:
        for name in (*kind.fields, "timestamp"):
            rule = kind.schema[name]
            assert "enum" in rule or rule["description"].split()[0] in ("a", "an"), name


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=80), inner),
    max_leaves=4,
)


@given(st.sampled_from(KINDS), st.data())
def test_every_invalid_event_has_a_sentence(kind: Any, data: st.DataObject) -> None:  # noqa: ANN401 - a Kind
    """Of one printable line, which begins with the field that the reason names."""
    names = [*kind.fields, "timestamp", "type", "slab", "x"]
    fields = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=80), values))
    error: EventError | None = None
    try:
        validate(channel_of(kind.name, "SOL"), fields, STORED_MS)
    except EventError as found:
        error = found
    text = str(error)
    assert text.isprintable()
    assert len(text) < 300
    name = error.reason.removeprefix("invalid_") if error else ""
    assert error is None or error.reason in ("mismatch", "invalid_json") or text.startswith(name)
