"""Queries for history: what is read from parameters, and which sentence refuses the rest."""

import pytest

from percolator.errors import RequestError
from percolator.model.queries import CandlesQuery, EventsQuery, candles_query, events_query

MAX = 2**53 - 1


def pairs(text: str) -> list[tuple[str, str]]:
    """Split parameters that need no decoding."""
    return [(name, value) for name, _, value in (each.partition("=") for each in text.split("&"))]


def test_a_query_without_parameters_asks_for_the_newest_rows() -> None:
    """Five hundred of them; a token is no parameter."""
    assert events_query([]) == events_query(pairs("token=x&token=y")) == EventsQuery()
    assert candles_query([]) == candles_query(pairs("token=x")) == CandlesQuery()
    assert (EventsQuery().limit, CandlesQuery().limit, CandlesQuery().interval) == (500, 500, "1m")


def test_a_query_for_events_has_a_place_and_a_limit() -> None:
    """The epoch belongs to the seq."""
    assert events_query(pairs("before=7&limit=1")) == EventsQuery(before=7, limit=1)
    assert events_query(pairs("epoch=61c.1.a&after=0")) == EventsQuery(after=0, epoch="61c.1.a")
    assert events_query(pairs(f"from={MAX}&limit=1000")) == EventsQuery(since=MAX, limit=1000)


def test_a_query_for_candles_has_an_interval_a_range_and_a_limit() -> None:
    """A range may be empty."""
    query = CandlesQuery("4h", start=60_000, end=60_000, limit=3)
    assert candles_query(pairs("interval=4h&from=60000&to=60000&limit=3")) == query


NUMBER = f"a whole number from 0 to {MAX}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "seq=1",
            'There is no parameter "seq" here; there are before, after, from, limit and epoch.',
        ),
        (
            "\x1b=1",
            r'There is no parameter "\x1b" here; there are before, after, from, limit and epoch.',
        ),
        ("limit=1&limit=2", "limit must be given once, not several times."),
        ("before=1&from=2", "Use only one of before, after and from, not before and from."),
        (
            "before=1&from=2&after=3",
            "Use only one of before, after and from, not before and after and from.",
        ),
        ("before=", f'before must be a seq, {NUMBER}, got "".'),
        ("after=-1", f'after must be a seq, {NUMBER}, got "-1".'),
        ("after=٣", f'after must be a seq, {NUMBER}, got "٣".'),
        (
            "from=9007199254740992",
            f'from must be a time in Unix milliseconds, {NUMBER}, got "9007199254740992".',
        ),
        ("after=" + "1" * 50, f'after must be a seq, {NUMBER}, got "{"1" * 40}...".'),
        ("limit=0", 'limit must be a whole number from 1 to 1000, got "0".'),
        ("limit=1001", 'limit must be a whole number from 1 to 1000, got "1001".'),
        ("limit=1e2", 'limit must be a whole number from 1 to 1000, got "1e2".'),
        ("epoch=XYZ", 'epoch must be one that a gateway has named, got "XYZ".'),
    ],
)
def test_a_query_for_events_that_is_not_valid_is_refused(text: str, sentence: str) -> None:
    """The sentence names what to change, and repeats nothing that could control a terminal."""
    with pytest.raises(RequestError) as refused:
        events_query(pairs(text))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "before=1",
            'There is no parameter "before" here; there are interval, from, to and limit.',
        ),
        ("interval=2m", 'interval must be 1m, 5m, 15m, 1h, 4h or 1d, got "2m".'),
        ("from=2&to=1", "from must not be later than to, got 2 and 1."),
        ("to=x", f'to must be a time in Unix milliseconds, {NUMBER}, got "x".'),
        ("limit=", 'limit must be a whole number from 1 to 1000, got "".'),
    ],
)
def test_a_query_for_candles_that_is_not_valid_is_refused(text: str, sentence: str) -> None:
    """As one for events."""
    with pytest.raises(RequestError) as refused:
        candles_query(pairs(text))
    assert str(refused.value) == sentence
