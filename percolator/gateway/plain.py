"""Plain requests: which are refused, how each method is answered, and which pages may read it.

No answer depends on a cookie, so the answer to a page is one that it could get without a browser.
"""

from functools import partial

from websockets.http11 import Request, Response

from percolator.gateway import responses
from percolator.gateway.admission import Admission
from percolator.gateway.answering import Later, Work
from percolator.gateway.answers import UnreadAnswers
from percolator.gateway.connection import Connection
from percolator.gateway.ports import Routes

UPGRADE_PATHS = ("/", "/ws")
PROBES = ("/health", "/health/live")
"""Paths without limits: a load balancer shares its address with clients, and knows no host name."""
EXPOSED = "ETag, Retry-After"
"""Headers that pages may read besides those that they always may."""
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, *",  # a star alone does not include it
    "Access-Control-Max-Age": "7200",  # browsers keep none for longer
}


class PlainRequests:
    """Answers the requests that are not upgrades."""

    def __init__(
        self, admission: Admission, unread: UnreadAnswers[Connection], routes: Routes
    ) -> None:
        self._admission = admission
        self._unread = unread
        self._routes = routes

    def answer(self, request: Request, path: str, address: str) -> Response | Later:
        """Return the response; pages may also read why their request is refused."""
        found = self._refuse(request, path, address) or self._respond(request, path, address)
        headers = self._sharing(request) if self._routes.is_shared(path) else {}
        if not isinstance(found, Response):
            return Later(partial(self._unless_unread, found, address), headers)
        found.headers.update(headers)
        return found

    async def _unless_unread(self, work: Work, address: str) -> Response:
        """Do the work, unless the address left too much unread since its request came."""
        response = await work() if self._unread.allows(address) else None
        if response is not None and self._unread.allows(address):
            return response
        self._admission.refused("unread answers")
        return responses.too_much_unread()

    def _refuse(self, request: Request, path: str, address: str) -> Response | None:
        """Return the response to a request over a limit, or for another host."""
        if path in PROBES:
            return None
        if not self._admission.request(address):
            reason, response = "requests", responses.too_many_requests()
        elif not self._admission.host_allowed(request.headers.get_all("Host")):
            reason, response = "host", responses.foreign_host()
        elif not self._unread.allows(address):
            reason, response = "unread answers", responses.too_much_unread()
        else:
            return None
        self._admission.refused(reason)
        return response

    def _respond(self, request: Request, path: str, address: str) -> Response | Work:
        if request.method == "OPTIONS":
            return responses.allowed_methods()
        found = self._routes(request, path, address)
        if found is None and path in UPGRADE_PATHS:
            return responses.upgrade_required()
        return found or responses.not_found()

    def _sharing(self, request: Request) -> dict[str, str]:
        """Return the headers that let the page that asks read the response."""
        origins = request.headers.get_all("Origin")
        preflight = PREFLIGHT if request.method == "OPTIONS" else {}
        exposed = {"Access-Control-Expose-Headers": EXPOSED, **preflight}
        if self._admission.any_origin:
            return {"Access-Control-Allow-Origin": "*", **exposed}
        if len(origins) == 1 and self._admission.origin_allowed(origins):
            return {"Access-Control-Allow-Origin": origins[0], "Vary": "Origin", **exposed}
        return {"Vary": "Origin"}
