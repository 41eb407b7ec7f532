"""Witnesses that follow with `percolator.js`, in a page that reports all that it receives.

The tests serve the page and the client, so the page stays when gateways come and go.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from percolator.gateway import responses, static
from tests.integration.faults.browser import CHROMIUM
from tests.integration.faults.raw_witness import event_of
from tests.integration.faults.witness import Gap, Witness
from tests.nats_server import LOOPBACK

SCRIPT = Path(__file__).with_name("witness.js").read_bytes()
PAGE = b'<!doctype html><title>witness</title><script type="module" src="/witness.js"></script>'
OWN = {"/": (PAGE, "text/html; charset=utf-8"), "/witness.js": (SCRIPT, static.TYPES[".js"])}


class BrowserWitness(Witness):
    """Takes each message in a listener."""

    _client: ClassVar[str] = "the browser client"
    reads: ClassVar[str] = "at once"

    def receive(self, report: dict[str, Any]) -> None:
        """Record what the page has received."""
        match report:
            case {"state": str(name)}:
                self.note_state(name)
            case {"type": "gap", "channel": channel, "from": after, "to": before}:
                self.note_gap(channel, Gap(after, before, report.get("epoch")))
            case {"type": "price" | "trade" | "funding"}:
                self.note(*event_of(report))
            case _:
                raise AssertionError(report)


class SlowBrowserWitness(BrowserWitness):
    """Iterates, and rests in between: messages pile up, and prices replace each other."""

    _client: ClassVar[str] = "the browser client, resting"
    reads: ClassVar[str] = "resting"


class ReturningBrowserWitness(BrowserWitness):
    """Leaves and comes back with a bookmark, beside a listener that stays."""

    _client: ClassVar[str] = "the browser client, returning"
    reads: ClassVar[str] = "returning"
    _was_lost: bool = True

    def note_state(self, name: str) -> None:
        """Count a connection; what it asks for again over the same one is connecting too."""
        self._was_lost = self._was_lost or name == "waiting"
        if self._was_lost or name != "connecting":
            super().note_state(name)
        self._was_lost = self._was_lost and name != "live"


async def watch(url: str, found: Sequence[BrowserWitness]) -> None:
    """Run the witnesses in one page, forever. Each has a connection of its own."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(page: ServerConnection) -> None:
        feeds = [{"channels": each.follows, "reads": each.reads} for each in found]
        await page.send(json.dumps({"url": url, "feeds": feeds}))
        try:
            async for reports in page:
                for index, received in json.loads(reports):
                    found[index].receive(received)
        except (AssertionError, KeyError) as error:
            failed.set_exception(error)

    async with serve(take, LOOPBACK, 0, process_request=_answer, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with _tab(f"http://{LOOPBACK}:{port}/"):
            await failed


def _answer(_: ServerConnection, request: Request) -> Response | None:
    """Serve the page, and the client's files as a gateway does; the rest is for reports."""
    if request.path in OWN:
        return responses.answer(HTTPStatus.OK, *OWN[request.path])
    return static.find(request, request.path)


@contextlib.asynccontextmanager
async def _tab(url: str) -> AsyncIterator[None]:
    tab = await asyncio.to_thread(CHROMIUM.open, url)
    try:
        yield
    finally:
        await asyncio.to_thread(CHROMIUM.close, tab)
