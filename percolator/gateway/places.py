"""Places: limits the number of connections, in total and per address.

Every check and every release is O(1). 0 switches a limit off.
"""

from collections.abc import Iterator

from percolator.counts import Counts, count_down, count_up
from percolator.gateway.addresses import tiers
from percolator.model import closes


class Places:
    """Counts connections: in total, per address, and per wider IPv6 network."""

    def __init__(self, *, connections: int, per_address: int) -> None:
        self.total = 0
        self.by_address: Counts = {}
        self.by_network: Counts = {}
        """The same per wider network; IPv4 addresses have none."""
        self._connections = connections
        self._per_address = per_address

    def admit(self, address: str) -> closes.Close | None:
        """Reserve a place, to be released once; return the reason to close if there is none."""
        if self._connections and self.total >= self._connections:
            return closes.CLOSE_CONNECTIONS
        if self._per_address and any(
            counts.get(key, 0) >= self._per_address * factor
            for counts, key, factor in self._tiers(address)
        ):
            return closes.CLOSE_CONNECTIONS_PER_IP
        self.total += 1
        for counts, key, _ in self._tiers(address):
            count_up(counts, key)
        return None

    def release(self, address: str) -> None:
        """Release a place. Raises KeyError if the address has none."""
        for counts, key, _ in self._tiers(address):
            count_down(counts, key)
        self.total -= 1

    def _tiers(self, address: str) -> Iterator[tuple[Counts, str, int]]:
        """Each key of an address, with its counts, and how often it has the address's limit."""
        for key, factor in tiers(address):
            yield (self.by_address if key == address else self.by_network), key, factor
