"""The HTTP routes: which path shows which view, and to whom; other paths may be files for browsers.

The counters are for whoever has the stats token, where there is one; the markets are for whoever
has a token that covers them, where authentication is on.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import SecretStr
from pydantic_core import to_json
from websockets.http11 import Request, Response

from percolator.app import metrics
from percolator.app.views import Covers, Data
from percolator.gateway import responses, static
from percolator.gateway.admission import Admission
from percolator.model.channel import Channel

View = Callable[[], tuple[HTTPStatus, Data]]


@dataclass(frozen=True, slots=True)
class Routes:
    """The GET routes.

    `open_views` and `counters` are by path and give a status and what to show as JSON; `metrics` is
    text. `markets` shows all of what a token covers, `market` one slab, or None.
    """

    open_views: dict[str, View]
    counters: dict[str, View]
    metrics: Callable[[], bytes]
    markets: Callable[[Covers], Data]
    market: Callable[[str, Covers], Data | None]
    admission: Admission
    stats_token: SecretStr | None

    def __call__(self, request: Request, path: str, address: str) -> Response | None:
        """Answer a GET from an address; None where there is no such path."""
        if path in self.open_views:
            return _json(*self.open_views[path]())
        if path in self.counters or path == "/metrics":
            return self._counters(request, path, address)
        if path == "/markets" or path.rpartition("/")[0] == "/markets":
            return self._markets(request, path, address)
        return static.find(request, path)

    def _counters(self, request: Request, path: str, address: str) -> Response:
        if self.stats_token is not None:
            if self.admission.is_throttled(address):
                return responses.too_many_attempts()
            token = responses.bearer(request)
            if not _same(token, self.stats_token.get_secret_value()):
                if token:
                    self.admission.failed(address)
                return responses.unauthorized()
        if path == "/metrics":
            return responses.answer(HTTPStatus.OK, self.metrics(), metrics.CONTENT_TYPE)
        return _json(*self.counters[path]())

    def _markets(self, request: Request, path: str, address: str) -> Response | None:
        covers: Covers = _everything
        if self.admission.auth_required:
            if self.admission.is_throttled(address):
                return responses.too_many_attempts()
            token = responses.token_of(request)
            grant = self.admission.verify(address, token) if token else None
            if grant is None:
                return responses.unauthorized()
            covers = grant.covers
        if path == "/markets":
            return _json(HTTPStatus.OK, self.markets(covers))
        found = self.market(path.rpartition("/")[2], covers)
        return None if found is None else _json(HTTPStatus.OK, found)


def _everything(_channel: Channel) -> bool:
    return True


def _same(given: str | None, wanted: str) -> bool:
    """Compare in a time that depends on neither."""
    text = (given or "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(text, wanted.encode("utf-8", "surrogateescape"))


def _json(status: HTTPStatus, data: Data) -> Response:
    return responses.answer(status, to_json(data) + b"\n", responses.JSON)
