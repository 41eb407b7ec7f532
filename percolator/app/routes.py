"""The HTTP routes: for each path who may read it, and what it shows.

Everybody may read an open route. The counters need the stats token, if one is set. The markets need
a token that covers them, if auth is on. Any other path may be a file for browsers.
"""

import hmac
from collections.abc import Callable, Sequence
from enum import Enum, auto
from http import HTTPStatus
from math import inf
from typing import NamedTuple
from urllib.parse import parse_qs

from pydantic import SecretStr
from pydantic_core import to_json
from websockets.http11 import Request, Response

from percolator.app.views import Data
from percolator.auth.tokens import Grant
from percolator.gateway import responses, static
from percolator.gateway.admission import Admission
from percolator.gateway.answering import Work

PARAMETER = "SLAB"
"""The part of a route's path that stands for a market's name."""
PARAMETER_AT = 2
"""Where in the path it is: `/markets/SLAB`."""


class Access(Enum):
    """Who may read a route, and whether pages of allowed origins may, which `is_shared` says."""

    OPEN = auto()
    COUNTERS = auto()
    MARKETS = auto()


class Query(NamedTuple):
    """What a handler may show: what the client may read, the market it named, and the rest.

    `text` is what follows the question mark, `if_none_match` the header of that name.
    """

    grant: Grant
    slab: str
    text: str = ""
    if_none_match: str = ""

    def parameter(self, name: str) -> str | None:
        """Return a parameter; None if it is not there."""
        return next(iter(parse_qs(self.text).get(name, ())), None)


EVERYTHING = Grant("", ("*",), inf)
"""What a client may read without a token, if auth is off."""


Handler = Callable[[Query], Response | Work | None]
"""Returns the response, or the work that makes it; None if there is no such market."""


class Route(NamedTuple):
    """One row of the table."""

    path: str
    access: Access
    handler: Handler


class Routes:
    """Answers GET requests from a table of routes."""

    def __init__(
        self, table: Sequence[Route], admission: Admission, stats_token: SecretStr | None
    ) -> None:
        """`stats_token` protects the counters, if it is set."""
        self.table = tuple(table)
        self._by_path = {route.path: route for route in table}
        self._admission = admission
        self._stats_token = stats_token

    def __call__(self, request: Request, path: str, address: str) -> Response | Work | None:
        """Return the response to a GET from an address, or the work that makes it.

        None if there is no such path.
        """
        route = self._find(path)
        if route is None:
            return static.find(request, path)
        grant = self._check(route.access, request, address)
        if isinstance(grant, Response):
            return grant
        slab = "".join(path.split("/", PARAMETER_AT + 1)[PARAMETER_AT : PARAMETER_AT + 1])
        text = request.path.partition("?")[2]
        if_none_match = ", ".join(request.headers.get_all("If-None-Match"))
        return route.handler(Query(grant, slab, text, if_none_match))

    def is_shared(self, path: str) -> bool:
        """Return whether pages of allowed origins may read a path.

        They may read what is open, and the markets with a client's token, as over a WebSocket. The
        stats token is the operator's: no page of another origin has a use for it. Files set their
        own headers.
        """
        route = self._find(path)
        return route is not None and (
            route.access is not Access.COUNTERS or self._stats_token is None
        )

    def _find(self, path: str) -> Route | None:
        parts = path.split("/", PARAMETER_AT + 2)
        parts[PARAMETER_AT : PARAMETER_AT + 1] = [PARAMETER]
        return self._by_path.get(path) or self._by_path.get("/".join(parts))

    def _check(self, access: Access, request: Request, address: str) -> Grant | Response:
        """Return what the client may read, or the response that refuses it."""
        match access:
            case Access.OPEN:
                return EVERYTHING
            case Access.COUNTERS:
                return self._check_stats_token(request, address)
            case Access.MARKETS:
                return self._check_token(request, address)

    def _check_stats_token(self, request: Request, address: str) -> Grant | Response:
        if self._stats_token is None:
            return EVERYTHING
        token = responses.bearer(request)
        if _same(token, self._stats_token.get_secret_value()):
            return EVERYTHING
        return self._refuse(address, token)

    def _check_token(self, request: Request, address: str) -> Grant | Response:
        if not self._admission.auth_required:
            return EVERYTHING
        token = responses.token_of(request)
        grant = self._admission.verify(token) if token else None
        return grant or self._refuse(address, token)

    def _refuse(self, address: str, token: str | None) -> Response:
        """Refuse a wrong token, or a request without one, which costs nothing to refuse."""
        if token and self._admission.failed_http(address):
            return responses.too_many_wrong_tokens()
        return responses.unauthorized()


def json(data: Data, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a JSON response."""
    return responses.answer(status, to_json(data) + b"\n", responses.JSON)


def _same(given: str | None, expected: str) -> bool:
    """Compare two strings in constant time."""
    text = (given or "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(text, expected.encode("utf-8", "surrogateescape"))
