"""The HTTP routes: which path shows which view; every other path may be a file for browsers."""

from collections.abc import Callable
from http import HTTPStatus

from pydantic_core import to_json
from websockets.http11 import Request, Response

from percolator.gateway import http, static
from percolator.views import Data

View = Callable[[], tuple[HTTPStatus, Data]]


class Routes:
    """The GET routes. A view gives a status and what to show as JSON."""

    def __init__(self, views: dict[str, View], market: Callable[[str], Data | None]) -> None:
        """`views` are by path; `market` looks up one of `/markets/SLAB`."""
        self._views = views
        self._market = market

    def __call__(self, request: Request, path: str) -> Response | None:
        """Answer a GET; None where there is no such path."""
        view = self._views.get(path)
        if view is not None:
            return _json(*view())
        prefix, _, slab = path.rpartition("/")
        if prefix == "/markets":
            found = self._market(slab)
            if found is not None:
                return _json(HTTPStatus.OK, found)
        return static.find(request, path)


def _json(status: HTTPStatus, data: Data) -> Response:
    return http.answer(status, to_json(data) + b"\n", http.JSON)
