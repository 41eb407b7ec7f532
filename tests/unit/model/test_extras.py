"""Extras: clients get the fields that no kind has as the publisher wrote them."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.model import server_messages
from percolator.model.events import LIKELY_PLAIN_BYTES
from percolator.model.extras import RESERVED
from percolator.model.kinds import KINDS, Event, Kind
from percolator.model.messages import event_message
from percolator.model.server_messages import Delivery
from tests.channels import STORED_MS, decode, subject_of
from tests.unit.wire import payloads

PLAIN = '{"side":"long","size":"1","price":1.5,"timestamp":1750000000000'
NATIVE: dict[str, dict[str, Any]] = {
    "price": {"price": 1.5},
    "trade": {"side": "long", "size": "1000000", "price": 1.5},
    "funding": {"rate": "0.0001"},
    "liquidation": {"side": "short", "size": "7", "price": 1.5},
    "market": {"status": "active"},
}


def sent(event: Event) -> bytes:
    """Return the text of the message that clients get of an event."""
    (text,) = payloads(event_message(event, 7, None))
    return text


def trade(added: str, end: str = "}") -> Event:
    """Decode a trade with some JSON after its own fields."""
    return decode("percolator.trade.SOL", f"{PLAIN},{added}{end}".encode())


def received(text: bytes) -> Event:
    """Return the event that the Python client reads from a message."""
    delivery = server_messages.read(text)
    assert isinstance(delivery, Delivery)
    return delivery.event


@pytest.mark.parametrize(
    "added",
    [
        '"id":"5Kd9:SOL:0"',
        '"slot":18446744073709551615',
        '"fee":0.0025',
        '"fee":-1.5,"tip":1e-7',
        '"maker":true,"taker":false,"memo":null',
        '"":"","a b":"\\"quoted\\" \\\\ \\n","名":"値","\U0001f600":"\U0001f600"',
        '"event":"fill","data":5',
        '"__proto__":null,"constructor":"x"',
        '"exact":0.1234567890123456789012345678,"also":1E+2,"id":"x","n":5',
        f'"largest":{int(1.7976931348623157e308)}',
        f'"smallest":{int(-1.7976931348623157e308)}',
    ],
)
def test_clients_get_extras_as_the_same_json_text_after_our_own_fields(added: str) -> None:
    """Numbers too: an integer over 2^53 and a decimal of 28 digits keep every digit."""
    text = sent(trade(added)).decode()
    assert text.endswith(f'"seq":7,"prev":null,{added}}}')
    assert json.loads(text).items() >= json.loads(f"{{{added}}}").items()


@pytest.mark.parametrize(
    ("added", "kept"),
    [
        ('"a":[1],"b":{"c":1},"d":1', '"d":1'),
        ('"fee":0.10,"x":{"fee":0.1}', '"fee":0.10'),
        ('"fee":0.100000000000000000001,"x":{"fee":0.1}', '"fee":0.100000000000000000001'),
        ('"a":1e400,"b":-1e400,"c":1', '"c":1'),
        (f'"a":{"9" * 309},"b":-{"9" * 4_000},"c":0.5', '"c":0.5'),
        ('"a":NaN,"b":Infinity,"c":-Infinity,"d":1.50', '"d":1.50'),
        ('"a":1,"a":2', '"a":2'),
        ('"a" : 0.5 , "b":\t5', '"a":0.5,"b":5'),
        ('"a": 0.5, "b": 1e-07', '"a":0.5,"b":1e-07'),
        ('"a":"\\u00e9\\/"', '"a":"é/"'),
        ('"a":[]', ""),
    ],
)
def test_only_scalars_that_readers_hold_are_passed_on(added: str, kept: str) -> None:
    """The event stays valid; a list or an object may be meant for another reader."""
    text = sent(trade(added)).decode()
    end = f",{kept}}}" if kept else "}"
    assert text.endswith(f'"seq":7,"prev":null{end}')


@pytest.mark.parametrize("name", sorted(RESERVED - {"type", "slab", "timestamp"}))
def test_an_extra_never_has_a_name_of_ours(name: str) -> None:
    """It is dropped, since the event was valid before extras were passed on."""
    event = trade(f'"{name}":"x","id":1')
    assert event.extra == {"id": 1}
    assert sent(event).count(f'"{name}"'.encode()) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_optional_field_of_a_kind_is_no_extra(kind: Kind) -> None:
    """Nor is it one if it is null."""
    fields = {**NATIVE[kind.name], "timestamp": STORED_MS, "id": "x"}
    nulls = {name: None for name in kind.fields if name not in fields}
    event = decode(subject_of(kind.name, "SOL"), json.dumps(fields | nulls).encode())
    assert event.extra == {"id": "x"}


def test_extras_come_through_numbers_in_another_form() -> None:
    """And through the envelope, of which those of `data` count."""
    payload = b'{"rate":"1e-7","timestamp":1750000000000,"slot":5,"fee":0.10,"x":{}}'
    event = decode("percolator.funding.SOL", payload)
    assert event.values()["rate"] == "0.0000001"
    assert event.extra_json == b'"slot":5,"fee":0.10'
    data = '{"priceE6":1500000,"tx":"5Kd9","feeE6":25,"fee":1.10,"type":"x","a":[]}'
    text = f'{{"event":"price.updated","data":{data},"timestamp":1750000000000,"id":"x"}}'
    event = decode("percolator.price.SOL", text.encode())
    assert event.values()["price"] == 1.5
    assert event.extra_json == b'"tx":"5Kd9","feeE6":25,"fee":1.10'


def test_a_long_event_without_extras_has_none() -> None:
    """Its length only decides what is tried first."""
    padding = " " * LIKELY_PLAIN_BYTES
    assert trade('"type":"trade"', padding + "}").extra == {}
    assert trade('"id":1', padding + "}").extra == {"id": 1}


# Whatever comes.

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=4), scalars)
names = st.text(max_size=8) | st.sampled_from([*RESERVED, "id", "fee", "markPrice", "rate"])
separators = st.sampled_from([(",", ":"), (", ", ": ")])


def is_kept(kind: Kind, name: str, value: object) -> bool:
    """Return whether an extra is passed on."""
    finite = not isinstance(value, int | float) or abs(value) <= 1.7976931348623157e308
    return finite and not isinstance(value, list | dict) and name not in {*RESERVED, *kind.fields}


@given(st.sampled_from(KINDS), st.dictionaries(names, values, max_size=5), separators)
def test_a_client_reads_what_the_publisher_wrote(
    kind: Kind, added: dict[str, Any], form: tuple[str, str]
) -> None:
    """The same values, and integers and text to the last digit and letter."""
    own = {name for name in RESERVED | set(kind.fields) if name in added}
    fields = {**added, **NATIVE[kind.name], "timestamp": STORED_MS}
    for name in own - NATIVE[kind.name].keys() - {"timestamp"}:
        if name in ("type", "slab") or name in kind.fields:
            del fields[name]
    event = decode(subject_of(kind.name, "SOL"), json.dumps(fields, separators=form).encode())
    kept = {name: value for name, value in added.items() if is_kept(kind, name, value)}
    assert event.extra == kept
    assert {name: type(value) for name, value in event.extra.items()} == {
        name: type(value) for name, value in kept.items()
    }
    text = sent(event)
    assert received(text).extra == kept
    assert received(text) == event
    own_fields = {"type": kind.name, "slab": "SOL", "seq": 7, "timestamp": STORED_MS}
    assert json.loads(text).items() >= own_fields.items()


decimals = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,30}([eE][+-]?[0-9]{1,2})?", fullmatch=True
)


@given(st.lists(decimals, min_size=1, max_size=3), st.booleans())
def test_a_number_with_a_fraction_keeps_its_value(
    numbers: list[str],
    nested: bool,  # noqa: FBT001 - an argument of the property
) -> None:
    """Also for a reader of decimals, which a float would round."""
    added = ",".join(f'"n{place}":{number}' for place, number in enumerate(numbers))
    text = sent(trade(added + (',"x":{"n0":0.5}' if nested else "")))
    found = json.loads(text, parse_float=Decimal)
    for place, number in enumerate(numbers):
        assert found[f"n{place}"] == Decimal(number)
        assert math.isfinite(found[f"n{place}"])
