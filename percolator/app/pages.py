"""The table of routes: each path, who may read it, and the page that it shows."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Response

from percolator.app import metrics
from percolator.app.markets import Markets
from percolator.app.routes import Access, Query, Route, json
from percolator.app.views import FeedState, health_view, market_view, stats_view
from percolator.config.settings import Settings
from percolator.fanout.hub import Hub
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway import responses
from percolator.gateway.places import Places
from percolator.model.rejection import KeptRejections
from percolator.stats import Stats

NUMBER = re.compile(r"[0-9]{1,16}")
"""What a number in a query may be."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The parts that pages show. `metrics` renders them, `draining` says that a shutdown began."""

    settings: Settings
    stats: Stats
    hub: Hub
    markets: Markets
    places: Places
    slabs: SlabLimits
    feed: FeedState
    rejections: KeptRejections
    clock: Callable[[], float]
    metrics: Callable[[], bytes]
    draining: Callable[[], bool]

    def table(self) -> tuple[Route, ...]:
        """Return all routes."""
        return (
            Route("/health", Access.OPEN, self._health),
            Route("/health/live", Access.OPEN, lambda _: json({"status": "ok"})),
            Route("/ws/stats", Access.COUNTERS, self._stats),
            Route("/metrics", Access.COUNTERS, self._metrics),
            Route("/rejected", Access.COUNTERS, self._rejected),
            Route("/markets", Access.MARKETS, self._markets),
            Route("/markets/SLAB", Access.MARKETS, self._market),
        )

    def _health(self, _query: Query) -> Response:
        healthy, data = health_view(self.feed, wall_ms(), draining=self.draining())
        return json(data, HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)

    def _stats(self, _query: Query) -> Response:
        view = stats_view(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            admission=self.places,
            slabs=self.slabs,
            feed=self.feed,
            now=self.clock(),
        )
        return json(view)

    def _metrics(self, _query: Query) -> Response:
        return responses.answer(HTTPStatus.OK, self.metrics(), metrics.CONTENT_TYPE)

    def _rejected(self, query: Query) -> Response:
        since = query.parameter("since") or "0"
        if not NUMBER.fullmatch(since):
            return responses.sentence(HTTPStatus.BAD_REQUEST, "since must be a whole number.")
        return responses.answer(HTTPStatus.OK, self.rejections.json(int(since)), responses.JSON)

    def _markets(self, query: Query) -> Response:
        return responses.answer(HTTPStatus.OK, self.markets.body(query.grant), responses.JSON)

    def _market(self, query: Query) -> Response | None:
        found = market_view(self.hub.book, query.slab, query.grant.covers)
        return None if found is None else json(found)


def wall_ms() -> int:
    """Return the wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000
