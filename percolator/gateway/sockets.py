"""Sockets: how many there may be, and how many of them from one address that are not clients.

A socket counts from the moment that it is accepted. It is a client from its upgrade on, when it has
a place. Before that, it may be silent, in a TLS handshake, or leave its answer unread. Past a
limit, the oldest of these is closed: over the limit of an address, the oldest of that address, so
that a client pushes out only itself.
"""

import socket
from collections.abc import Callable, Iterator, Sequence

from percolator.gateway.addresses import Tier

SOCKETS_PER_CONNECTION = 8
"""Sockets that are not clients and that an address may have, per connection that it may have: more
than the attempts that it may make at once, by default."""


class AcceptedSocket:
    """One socket, from accept until it is closed."""

    __slots__ = ("close", "deadline", "header", "peer", "sock", "tiers")

    def __init__(
        self, sock: socket.socket, peer: str, tiers: Sequence[Tier], deadline: float
    ) -> None:
        """`tiers` are what it counts under until it is a client; none for a proxy.

        A PROXY header replaces `peer`, the address of its client, and `tiers`.
        """
        self.sock = sock
        self.peer = peer
        self.tiers = tiers
        self.header = b""
        """What has arrived of its PROXY header, until that is complete."""
        self.deadline = deadline
        """When its request must be complete, on the gateway's clock."""
        self.close: Callable[[], None] = sock.close
        """Closes it without an answer, in whatever state it is."""


class Sockets:
    """All sockets of a gateway."""

    def __init__(self, limit: int, max_connections_per_ip: int) -> None:
        """`limit` is on sockets in total; 0 connections per address switch that limit off."""
        self._limit = limit
        self._per_address = max_connections_per_ip * SOCKETS_PER_CONNECTION
        self._all: set[AcceptedSocket] = set()
        self._pending: dict[AcceptedSocket, None] = {}
        """Sockets without a complete request, the oldest first."""
        self._others: dict[AcceptedSocket, None] = {}
        """Sockets that are not clients, the oldest first."""
        self._by_tier: dict[str, dict[AcceptedSocket, None]] = {}
        """The same by what they count under."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[AcceptedSocket]:
        return iter(self._all)

    @property
    def is_full(self) -> bool:
        """True if another socket needs the place of one."""
        return len(self._all) >= self._limit

    def enter(self, accepted: AcceptedSocket) -> None:
        """Count a new socket."""
        self._all.add(accepted)
        self._pending[accepted] = self._others[accepted] = None
        self._count(accepted)

    def identify(self, accepted: AcceptedSocket, peer: str, tiers: Sequence[Tier]) -> None:
        """Count a proxy's socket, which counted under no address, as its client's."""
        accepted.peer, accepted.tiers = peer, tiers
        self._count(accepted)

    def _count(self, accepted: AcceptedSocket) -> None:
        for key, _ in accepted.tiers:
            self._by_tier.setdefault(key, {})[accepted] = None

    def requested(self, accepted: AcceptedSocket) -> None:
        """Note that a socket has sent its request."""
        self._pending.pop(accepted, None)

    def admitted(self, accepted: AcceptedSocket) -> None:
        """Note that a socket is a client now, or on its way out."""
        self._pending.pop(accepted, None)
        if accepted in self._others:
            del self._others[accepted]
            for key, _ in accepted.tiers:
                del self._by_tier[key][accepted]
                if not self._by_tier[key]:
                    del self._by_tier[key]

    def leave(self, accepted: AcceptedSocket) -> None:
        """Note that a socket is closed."""
        self.admitted(accepted)
        self._all.discard(accepted)

    def evict(self, tiers: Sequence[Tier]) -> AcceptedSocket | None:
        """Return the socket to close for the next one of an address; None if it has few enough."""
        for key, factor in tiers if self._per_address else ():
            others = self._by_tier.get(key, {})
            if len(others) >= self._per_address * factor:
                return self._oldest(others)
        return None

    def evict_any(self) -> AcceptedSocket | None:
        """Return the socket to close if there are too many; None if all are clients."""
        return self._oldest(self._others)

    def _oldest(self, others: dict[AcceptedSocket, None]) -> AcceptedSocket | None:
        """Return the first of these; it is not returned again."""
        oldest = next(iter(others), None)
        if oldest is not None:
            self.admitted(oldest)
        return oldest

    def expired(self, now: float) -> Iterator[AcceptedSocket]:
        """Yield those whose request is not complete in time, each once; all have the same time."""
        while self._pending:
            oldest = next(iter(self._pending))
            if oldest.deadline > now:
                return
            del self._pending[oldest]
            yield oldest
