"""What is kept of history takes no more memory than it counts for."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic_core import to_json

from percolator.app.candle_chunks import Chunk, Key
from percolator.app.history import ANSWER_BYTES, Answer
from percolator.app.row_cache import RowCache
from percolator.gateway.tags import tag_of
from percolator.jetstream.direct import Stored
from percolator.model.channel import Channel
from percolator.model.kinds import TRADE
from percolator.model.queries import MINUTE_MS, candles_query
from percolator.projections.intervals import Minute, fold

COUNT = 2_000
MINUTES = 240
Entries = Callable[[RowCache[Any, Any]], None]


@pytest.fixture
def tracing() -> Iterator[None]:
    """Count what Python allocates."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def minutes(start: int) -> list[Minute]:
    """Make the minutes of a chunk."""
    return [
        Minute(
            start=(start + number) * MINUTE_MS,
            open=1.5 + number,
            high=2.5 + number,
            low=0.5 + number,
            close=1.25 + number,
            volume=str(10**20 + number),
            trades=1_000 + number,
            last=10**9 + number,
            epoch="66152c275398c",
        )
        for number in range(MINUTES)
    ]


def chunk(start: int, *, empty: bool, closed: bool) -> Chunk:
    """Make a chunk."""
    found = Chunk(first_seq=10**9 + start, following=10**12 + start if closed else None)
    if not empty:
        own = minutes(start)
        rows = fold(own, MINUTE_MS, newest=10**15)
        found.rows = [(row.start, to_json(row.fields(row.epoch))) for row in rows]
        if not closed:
            found.minutes = own
            found.last = Stored(10**9, f"percolator.candle.M{start}", b"x" * 250, 10**18)
    return found


def chunks(*, empty: bool, closed: bool) -> Entries:
    """Return what fills a cache with chunks."""

    def fill(cache: RowCache[Any, Any]) -> None:
        for number in range(COUNT if empty else COUNT // 40):
            each = chunk(number * MINUTES, empty=empty, closed=closed)
            key = Key("66152c275398c", f"M{number}", f"{number % 9}m", number * MINUTES)
            cache.put(key, each, each.size)

    return fill


def answers(cache: RowCache[Any, Any]) -> None:
    """Fill a cache with small answers."""
    for number in range(COUNT):
        body = b"x" * 90 + str(number).encode()
        query = candles_query([("from", str(number * 10**9)), ("to", str(number * 10**9 + 5))])
        key = ("66152c275398c", Channel(TRADE, f"M{number}"), query)
        cache.put(key, Answer(body, tag_of(body), lasting=True), len(body) + ANSWER_BYTES)


@pytest.mark.parametrize(
    "fill",
    [
        chunks(empty=True, closed=True),
        chunks(empty=False, closed=True),
        chunks(empty=False, closed=False),
        answers,
    ],
    ids=["empty chunks", "closed chunks", "open chunks", "answers"],
)
@pytest.mark.usefixtures("tracing")
def test_what_is_kept_counts_for_what_it_takes(fill: Entries) -> None:
    """However small each of it is: a client chooses what is kept."""
    cache: RowCache[Any, Any] = RowCache(10**9)
    before, _ = tracemalloc.get_traced_memory()
    fill(cache)
    after, _ = tracemalloc.get_traced_memory()
    assert 0.3 * cache.size < after - before <= cache.size
