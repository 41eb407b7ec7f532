"""The dialer: opens a connection to whichever server answers first."""

from collections.abc import Awaitable, Callable

from percolator.jetstream.address import NatsAddress, Server
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import Handler, configured, connect_to_any


class Dialer:
    """Opens connections that do not reconnect, to whichever server answers first.

    It remembers the other servers that a cluster announces, so one address is enough to find the
    cluster when that server is gone.
    """

    def __init__(self, find: Callable[[], Awaitable[NatsAddress]], *, name: str) -> None:
        """`find` returns the current address of NATS; it is called for each connection."""
        self._find = find
        self._name = name
        self._address: NatsAddress | None = None
        self._known: dict[str, Server] = {}

    async def dial(self, closed: Handler) -> NatsClient:
        """Connect; `closed` is called when the connection has ended. Raises NatsError."""
        address = await self._find()
        if address != self._address:
            self._known = {server.place: server for server in configured(address)}
            self._address = address
        servers = list(self._known.values())
        client = await connect_to_any(address, servers, name=self._name, closed=closed)
        # One dictionary, so that servers that the cluster announces later are known too.
        client.known |= self._known
        self._known = client.known
        return client
