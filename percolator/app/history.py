"""History over HTTP: pages of candles, and of the events of each lossless kind.

An answer that can no longer change is kept and sent again, from memory. Any other is read from the
stream when its turn comes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl

from pydantic_core import to_json
from websockets.http11 import Response

from percolator.app.candle_history import CandleHistory
from percolator.app.event_history import EventHistory
from percolator.app.pace import Pace
from percolator.app.routes import Access, Query, Route
from percolator.app.row_cache import RowCache
from percolator.config.settings import Settings
from percolator.errors import NatsError, RequestError
from percolator.fanout.book import Book
from percolator.gateway import responses
from percolator.gateway.answering import Work
from percolator.gateway.tags import tag_of, tagged
from percolator.jetstream.replay import Replay
from percolator.model.channel import SLAB, Channel
from percolator.model.events import Decode
from percolator.model.kinds import KINDS, TRADE, Kind
from percolator.model.queries import CandlesQuery, EventsQuery, candles_query, events_query

EVENTS_PER_SECOND, EVENTS_AT_ONCE = 10_000, 10_000
"""Messages that all requests together may read: 20 us of CPU each, so a fifth of one processor."""
KEPT_BYTES = 16 * 2**20
"""Bytes of the answers that are kept."""
ANSWER_BYTES = 1_000
"""What an answer takes in memory besides its body, about."""
MAX_AGE_SECONDS = 3_600
"""How long a browser or a proxy may keep an answer that cannot change without asking again."""

Q = TypeVar("Q")


class Answer(NamedTuple):
    """The body of an answer, with its tag; `lasting` if it can no longer change."""

    body: bytes
    tag: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class HistoryPages:
    """The pages of history. `private` if auth is on: proxies must then keep nothing."""

    book: Book
    events: EventHistory
    candles: CandleHistory
    private: bool
    kept: RowCache[tuple[object, ...], Answer] = field(default_factory=lambda: RowCache(KEPT_BYTES))

    @classmethod
    def reading(
        cls,
        replay: Replay,
        book: Book,
        settings: Settings,
        decode: Decode,
        clock: Callable[[], float],
    ) -> Self:
        """Return the pages that read over the connection of a replay."""
        charge = Pace(EVENTS_PER_SECOND, EVENTS_AT_ONCE, clock).charge
        return cls(
            book=book,
            events=EventHistory(replay, settings.stream, decode, charge),
            candles=CandleHistory(replay, settings.candles_stream, charge),
            private=settings.auth,
        )

    def table(self) -> tuple[Route, ...]:
        """Return the routes."""
        lossless = [kind for kind in KINDS if kind.lossless]
        return (
            Route("/markets/SLAB/candles", Access.MARKETS, self._candles),
            *(
                Route(f"/markets/SLAB/{kind.prefix}", Access.MARKETS, partial(self._events, kind))
                for kind in lossless
            ),
        )

    def _events(self, kind: Kind, query: Query) -> Response | Work | None:
        channel = Channel(kind, query.slab)
        asked = self._asked(query, channel, events_query) if self._is_known(query.slab) else None
        if asked is None or isinstance(asked, Response):
            return asked
        if asked.epoch not in (None, self.book.epoch):
            return responses.sentence(
                HTTPStatus.GONE, "The stream was replaced: this epoch is not the present one."
            )
        return self._answer(query, (channel, asked), partial(self._read_events, channel, asked))

    def _candles(self, query: Query) -> Response | Work | None:
        channel = Channel(TRADE, query.slab)  # who may read a market's trades may read its candles
        asked = self._asked(query, channel, candles_query)
        if asked is None or isinstance(asked, Response):
            return asked
        return self._answer(query, (channel, asked), partial(self._read_candles, channel, asked))

    def _asked(
        self, query: Query, channel: Channel, parse: Callable[[list[tuple[str, str]]], Q]
    ) -> Q | Response | None:
        """Return what a request asks for, or the response that refuses it; None for no market."""
        if not SLAB.fullmatch(query.slab):
            return None
        if not query.grant.covers(channel):
            return responses.sentence(
                HTTPStatus.FORBIDDEN, f"The token does not cover {channel.name}."
            )
        if not self.book.epoch:
            return responses.unavailable("The gateway has not loaded its state yet.")
        try:
            return parse(parse_qsl(query.text, keep_blank_values=True))
        except RequestError as error:
            return responses.sentence(HTTPStatus.BAD_REQUEST, str(error))

    def _answer(
        self, query: Query, what: tuple[object, ...], read: Callable[[], Awaitable[Answer | None]]
    ) -> Response | Work:
        """Return an answer that is kept, or the work that reads it."""
        key = (self.book.epoch, *what)
        kept = self.kept.get(key)
        if kept is not None:
            return self._response(kept, query.if_none_match)

        async def work() -> Response:
            try:
                answer = await read()
            except NatsError as error:
                return responses.unavailable(f"History cannot be read at the moment: {error}.")
            if answer is None:
                return responses.not_found()
            if answer.lasting:
                self.kept.put(key, answer, len(answer.body) + ANSWER_BYTES)
            return self._response(answer, query.if_none_match)

        return work

    def _response(self, answer: Answer, if_none_match: str) -> Response:
        scope = "private" if self.private else "public"
        age = f"max-age={MAX_AGE_SECONDS}" if answer.lasting else "no-cache"
        headers = {"ETag": answer.tag, "Cache-Control": f"{scope}, {age}"}
        if self.private:
            headers["Vary"] = "Authorization"
        return tagged(answer.body, responses.JSON, headers, if_none_match)

    async def _read_events(self, channel: Channel, asked: EventsQuery) -> Answer:
        page = await self.events.page(channel, asked)
        head = {"slab": channel.slab, "channel": channel.name, "epoch": page.epoch}
        body = _body(head, "events", page.rows, page.next)
        return Answer(body, tag_of(body), page.final and asked.epoch is not None)

    async def _read_candles(self, channel: Channel, asked: CandlesQuery) -> Answer | None:
        page = await self.candles.page(channel.slab, asked)
        if page is None and not self._is_known(channel.slab):
            return None
        rows, following = (page.rows, page.next) if page else ([], None)
        epoch = page.epoch if page else self.book.epoch
        head = {"slab": channel.slab, "interval": asked.interval, "epoch": epoch}
        body = _body(head, "candles", rows, following)
        return Answer(body, tag_of(body), page is not None and page.final)

    def _is_known(self, slab: str) -> bool:
        """Return whether any event of a market is held."""
        return any(self.book.has_event(Channel(kind, slab)) for kind in KINDS)


def _body(
    head: dict[str, str], name: str, rows: list[bytes], following: dict[str, int] | None
) -> bytes:
    """Return a page as JSON: its head, rows that are JSON already, and the next page."""
    texts = (to_json(head)[:-1], to_json(name), b",".join(rows), to_json(following))
    return b'%b,%b:[%b],"next":%b}\n' % texts
