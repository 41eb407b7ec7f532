"""The parameters of a request for history, as they come in a URL."""

from urllib.parse import parse_qsl

from hypothesis import strategies as st

from percolator.errors import RequestError
from percolator.model.queries import (
    INTERVALS,
    MAX_ROWS,
    CandlesQuery,
    EventsQuery,
    candles_query,
    events_query,
)
from tests.fuzz.targets.target import mostly

MAX_TIME = 2**53 - 1

names = st.sampled_from(
    ["before", "after", "from", "to", "limit", "interval", "epoch", "token", "Limit", "limit[]"]
)
values = st.sampled_from(
    ["0", "1", "999", "1000", "1001", "1m", "1d", "-1", "+1", "1_0", "0x1", "1e3", "%31", "%C2%B2"]
) | st.integers(-1, 2**60).map(str)
parameters = st.builds("{}={}".format, mostly(names, st.text(max_size=20)), values | st.text())
texts = mostly(
    st.lists(parameters, max_size=4).map("&".join), st.text(max_size=200) | st.just("&" * 8_000)
)


def check_query(text: str) -> None:
    """Expect a query within its bounds, or a refusal in one printable sentence."""
    pairs = parse_qsl(text, keep_blank_values=True)
    for parse in (events_query, candles_query):
        try:
            asked = parse(pairs)
        except RequestError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert sentence.endswith(".")
            assert len(sentence) < 1_000
            continue
        _check(asked)


def _check(asked: EventsQuery | CandlesQuery) -> None:
    assert 1 <= asked.limit <= MAX_ROWS
    if isinstance(asked, EventsQuery):
        places = [each for each in (asked.before, asked.after, asked.since) if each is not None]
        assert len(places) <= 1
        assert asked.epoch is None or len(asked.epoch) <= 64
    else:
        places = [each for each in (asked.start, asked.end) if each is not None]
        assert places == sorted(places)
        assert asked.interval in INTERVALS
    assert all(0 <= each <= MAX_TIME for each in places)
