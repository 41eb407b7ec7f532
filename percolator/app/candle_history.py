"""The history of candles: pages of one market and interval, put together of chunks.

A request asks the stream's leader for the market's newest candle first, so its answer is never
older than the request, whatever is kept.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from typing import NamedTuple

from percolator.app.candle_chunks import Chunks, Key, MarketCandles
from percolator.errors import NatsUnreachableError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.feed import Feed
from percolator.jetstream.replay import Replay
from percolator.jetstream.subject_history import SubjectHistory
from percolator.model.queries import CandlesQuery
from percolator.projections.intervals import floor

SUBJECT = "percolator.candle."
MAX_MINUTES = 10_000
"""Minutes that are read for one answer: about 0.2 s of CPU. The rest of a range has a cursor."""


class CandlesPage(NamedTuple):
    """Rows as JSON, the newest last."""

    epoch: str
    rows: list[bytes]
    next: dict[str, int] | None
    """Where the page after this one starts, as parameters of a query; None if this is the last."""
    final: bool
    """True if the same query has the same rows forever."""


class CandleHistory:
    """Reads pages of candles."""

    def __init__(self, replay: Replay, name: str, charge: Callable[[int], Awaitable[None]]) -> None:
        """`name` is that of the stream of candles; `charge` counts the minutes that are read."""
        self.chunks = Chunks()
        self._replay = replay
        self._name = name
        self._charge = charge

    async def page(self, slab: str, query: CandlesQuery) -> CandlesPage | None:
        """Return a page; None if the market has no candles. Raises NatsUnreachableError."""
        return await self._replay.ask(partial(self._page, slab=slab, query=query))

    async def _page(
        self, client: NatsClient, feed: Feed, slab: str, query: CandlesQuery
    ) -> CandlesPage | None:
        epoch = feed.epoch
        history = SubjectHistory(client, self._name, SUBJECT + slab)
        newest = await history.newest()
        if newest is None:
            return None
        key = Key(epoch, slab, query.interval, 0)
        market = MarketCandles(self.chunks, history, self._charge, key, newest)
        if query.start is None:
            page = await _newest_rows(market, query)
        else:
            page = await _oldest_rows(market, query.start, query)
        if feed.epoch != epoch:
            raise NatsUnreachableError("the stream was replaced")
        return page._replace(epoch=epoch)


async def _oldest_rows(market: MarketCandles, start: int, query: CandlesQuery) -> CandlesPage:
    """Return the first rows from a time on."""
    end = market.newest_start + 1 if query.end is None else query.end
    rows: list[bytes] = []
    at = floor(start, market.length)
    while at < end and at <= market.newest_start:
        if market.minutes_read >= MAX_MINUTES:
            return CandlesPage("", rows, {"from": max(at, start)}, final=False)
        chunk = await market.chunk(at)
        found = [row for row in chunk.rows if start <= row[0] < end]
        left = query.limit - len(rows)
        rows += [text for _, text in found[:left]]
        if len(found) > left:
            return CandlesPage("", rows, {"from": found[left][0]}, final=chunk.closed)
        if chunk.following is None:
            return CandlesPage("", rows, None, final=False)
        at = floor(chunk.following, market.length)
    reached = query.end is not None and query.end <= market.newest_start
    return CandlesPage("", rows, None, final=reached)


async def _newest_rows(market: MarketCandles, query: CandlesQuery) -> CandlesPage:
    """Return the last rows before a time; without one, the newest of all."""
    last = market.newest_start
    end = last + 1 if query.end is None else query.end
    parts: list[list[bytes]] = []
    left = query.limit
    final = query.end is not None
    oldest = end
    at: int | None = floor(min(last, max(end - 1, 0)), market.length)
    while at is not None:
        if market.minutes_read >= MAX_MINUTES:
            return _page(parts, {"to": at + market.length}, final=False)
        chunk = await market.chunk(at)
        final = final and chunk.closed
        found = [row for row in chunk.rows if row[0] < end]
        if len(found) > left:
            shown = found[len(found) - left :]
            parts.append([text for _, text in shown])
            return _page(parts, {"to": shown[0][0] if shown else oldest}, final=final)
        parts.append([text for _, text in found])
        oldest = found[0][0] if found else oldest
        left -= len(found)
        previous = await market.previous(at, chunk)
        at = None if previous is None else floor(previous, market.length)
    return _page(parts, None, final=final)


def _page(
    parts: list[list[bytes]], following: dict[str, int] | None, *, final: bool
) -> CandlesPage:
    """Return a page of chunks' rows, which were read from the newest back."""
    return CandlesPage("", list(chain.from_iterable(reversed(parts))), following, final)
