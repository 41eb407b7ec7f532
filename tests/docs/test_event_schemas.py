"""docs/schemas and the gateway agree on what an event is."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS, Kind
from percolator.model.times import MAX_AHEAD_MS
from tests.channels import STORED_MS, decode
from tests.docs.event_schemas import files
from tests.docs.pages import ROOT
from tests.docs.schema import fits
from tests.gateway import event_json

SCHEMAS = {
    kind: json.loads((ROOT / "docs" / "schemas" / f"{kind}.json").read_text()) for kind in KINDS
}
MAX_SIZE = 2**128 - 1
MARKET = "SOL"

TEXTS = st.sampled_from(
    [
        *("", "0", "1", "-1", "007", "1.5", "-0.0001", ".5", "1.", "+1", " 1", "1\n", "1,5", "0x1"),
        *("long", "short", "buy", "Long", MARKET, "BTC", "S L", "x" * 65, "trade", "\u0661"),
        *(str(MAX_SIZE), "9" * 39, "9" * 40, "1." + "0" * 20, "1." + "0" * 21, "1" * 20 + ".1"),
    ]
)
NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 1.5, 150_000_000, 2**53 - 1, 2**53, 2**63, 2**64, 1e-300, 1e300]),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer()),
)
VALUES = st.one_of(TEXTS, NUMBERS, st.sampled_from([None, True, False, [], ["1"], {}, {"a": 1}]))
ABSENT = object()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Kind, dict[str, Any]]:
    """Draw a kind, and a valid event of it in which some fields are replaced, removed or added."""
    kind = draw(st.sampled_from(KINDS))
    event = json.loads(event_json(kind.name))
    names = st.sampled_from([*kind.fields, "timestamp", "type", "slab", "other"])
    for name in draw(st.lists(names, max_size=3, unique=True)):
        value = draw(st.one_of(st.just(ABSENT), VALUES))
        event.pop(name, None)
        if value is not ABSENT:
            event[name] = value
    return kind, event


def decodes(kind: Kind, event: object) -> bool:
    """Return whether a gateway accepts an event."""
    try:
        decode(Channel(kind, MARKET).subject, json.dumps(event).encode())
    except EventError:
        return False
    return True


def beyond_schemas(event: dict[str, Any]) -> bool:
    """Return whether an event breaks a rule that a schema cannot say."""
    size, slab, time = event.get("size"), event.get("slab", MARKET), event.get("timestamp", 0)
    too_large = isinstance(size, str) and size.isascii() and size.isdigit() and int(size) > MAX_SIZE
    too_late = isinstance(time, int) and time > STORED_MS + MAX_AHEAD_MS
    return too_large or too_late or slab != MARKET


def canonical(kind: Kind, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its numbers in strings as clients get them, if they are numbers."""
    given = {name: event[name] for name in kind.canonical if isinstance(event.get(name), str)}
    forms = {name: kind.canonical[name](text) for name, text in given.items()}
    return event | {name: form for name, form in forms.items() if form is not None}


@given(mutated())
@example((KINDS[0], {"price": 150_000_000, "timestamp": 1}))
def test_a_schema_and_the_gateway_accept_the_same_events(
    case: tuple[Kind, dict[str, Any]],
) -> None:
    """Except for the rules that docs/publishers.md lists: no schema can say them."""
    kind, written = case
    event = canonical(kind, written)
    fit = fits(event, SCHEMAS[kind], SCHEMAS[kind])
    assert decodes(kind, written) == (fit and not beyond_schemas(event))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_usual_event_fits_the_schema_of_its_kind_alone(kind: Kind) -> None:
    """With its type; without one, a price fits that of a price only as well."""
    event = json.loads(event_json(kind.name)) | {"type": kind.name, "slab": MARKET}
    assert [each for each in KINDS if fits(event, SCHEMAS[each], SCHEMAS[each])] == [kind]


@pytest.mark.parametrize("event", [None, [], "x", 1, True])
def test_only_an_object_fits(event: object) -> None:
    """As at a gateway."""
    for kind, schema in SCHEMAS.items():
        assert not fits(event, schema, schema)
        assert not decodes(kind, event)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_schema_says_each_field_in_words_and_allows_others(kind: Kind) -> None:
    """So the file can be read without this documentation."""
    properties = SCHEMAS[kind]["properties"]
    assert set(properties) == {*kind.fields, "type", "slab", "timestamp"}
    assert "additionalProperties" not in SCHEMAS[kind]


def test_there_is_one_schema_per_kind() -> None:
    """A kind that was renamed leaves none behind."""
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "schemas").iterdir()}
    assert found == set(files())
