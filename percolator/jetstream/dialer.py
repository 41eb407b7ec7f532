"""The dialer: a connection to whichever server answers, as often as one is needed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from nats.aio.client import Client

from percolator.errors import NatsUnreachableError
from percolator.jetstream.connect import Handler, NatsAddress, hang_up, open_to


class Dialer:
    """Opens connections that do not come back by themselves, to whichever server answers first.

    All servers are called at once: a frozen one takes the call and never speaks, and finding that
    out one by one takes too long. What a cluster tells of its other servers is remembered, so that
    one address is enough to find it again when that server is gone.
    """

    def __init__(self, find: Callable[[], Awaitable[NatsAddress]], *, name: str) -> None:
        """`find` says where NATS is now; asked each time."""
        self._find = find
        self._name = name
        self._address: NatsAddress | None = None
        self._told: set[str] = set()

    async def dial(self, closed: Handler) -> Client:
        """Connect; `closed` is called when the connection has ended. Raises NatsError.

        Where no server answers, the error is that of the first.
        """
        address = await self._find()
        if address != self._address:
            self._address, self._told = address, set()
        servers = list(dict.fromkeys((*address.servers, *self._told)))
        calls = [asyncio.create_task(self._call(address, server)) for server in servers]
        try:
            line = await _first(calls)
            await _hang_up(calls, but=line)
            await line.take(closed)
        except BaseException:
            await _hang_up(calls)
            raise
        self._told |= {address.login_to(found) for found in line.client.discovered_servers}
        return line.client

    async def _call(self, address: NatsAddress, server: str) -> "_Line":
        line = _Line()
        line.client = await open_to(
            address, [server], name=self._name, reconnect=False, closed=line.on_closed
        )
        return line


class _Line:
    """A connection that somebody may take; until then nobody is told of its end."""

    client: Client

    def __init__(self) -> None:
        self._ended = False
        self._closed: Handler | None = None

    async def on_closed(self) -> None:
        """It has ended."""
        self._ended = True
        if self._closed is not None:
            await self._closed()

    async def take(self, closed: Handler) -> None:
        """From now on `closed` is told; at once, where it is over already."""
        self._closed = closed
        if self._ended:
            await closed()


async def _first(calls: list[asyncio.Task[_Line]]) -> _Line:
    """Give the first that succeeds; where none does, raise the error of the first in the list."""
    for call in asyncio.as_completed(calls):
        with contextlib.suppress(NatsUnreachableError):
            return await call
    return calls[0].result()


async def _hang_up(calls: list[asyncio.Task[_Line]], *, but: _Line | None = None) -> None:
    for call in calls:
        call.cancel()
    for line in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(line, _Line) and line is not but:
            await hang_up(line.client)
