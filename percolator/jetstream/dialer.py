"""The dialer: opens a connection to whichever server answers first."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from percolator.errors import NatsUnreachableError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import Handler, NatsAddress, hang_up, open_to


class Dialer:
    """Opens connections that do not reconnect, to whichever server answers first.

    All servers are dialed at once: a frozen server accepts the connection and never speaks, and
    finding that out one by one takes too long. The dialer remembers the other servers that a
    cluster announces, so one address is enough to find the cluster when that server is gone.
    """

    def __init__(self, find: Callable[[], Awaitable[NatsAddress]], *, name: str) -> None:
        """`find` returns the current address of NATS; it is called for each connection."""
        self._find = find
        self._name = name
        self._address: NatsAddress | None = None
        self._discovered: set[str] = set()

    async def dial(self, closed: Handler) -> NatsClient:
        """Connect; `closed` is called when the connection has ended. Raises NatsError.

        If no server answers, the error is that of the first one.
        """
        address = await self._find()
        if address != self._address:
            self._address, self._discovered = address, set()
        servers = list(dict.fromkeys((*address.servers, *self._discovered)))
        attempts = [asyncio.create_task(self._try(address, server)) for server in servers]
        try:
            line = await _first(attempts)
            await _abandon(attempts, keep=line)
            await line.on_end(closed)
        except BaseException:
            await _abandon(attempts)
            raise
        self._discovered |= {address.with_login(url) for url in line.client.discovered_servers}
        return line.client

    async def _try(self, address: NatsAddress, server: str) -> "_Line":
        line = _Line()
        line.client = await open_to(
            address, [server], name=self._name, reconnect=False, closed=line.closed
        )
        return line


class _Line:
    """A connection that may still be abandoned: its end is not reported before `on_end`."""

    client: NatsClient

    def __init__(self) -> None:
        self._ended = False
        self._handler: Handler | None = None

    async def closed(self) -> None:
        """The connection has ended."""
        self._ended = True
        if self._handler is not None:
            await self._handler()

    async def on_end(self, handler: Handler) -> None:
        """Call `handler` when the connection ends; now, if it has already ended."""
        self._handler = handler
        if self._ended:
            await handler()


async def _first(attempts: list[asyncio.Task[_Line]]) -> _Line:
    """Return the first that succeeds; if none does, raise the error of the first in the list."""
    for attempt in asyncio.as_completed(attempts):
        with contextlib.suppress(NatsUnreachableError):
            return await attempt
    return attempts[0].result()


async def _abandon(attempts: list[asyncio.Task[_Line]], *, keep: _Line | None = None) -> None:
    for attempt in attempts:
        attempt.cancel()
    for line in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(line, _Line) and line is not keep:
            await hang_up(line.client)
