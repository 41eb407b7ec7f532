"""Places: limits the number of connections, in total and per address.

Every check and every release is O(1). 0 switches a limit off.
"""

from percolator.counts import Counts, count_down, count_up
from percolator.model import closes


class Places:
    """Counts connections, in total and per address."""

    def __init__(self, *, connections: int, per_address: int) -> None:
        self.total = 0
        self.by_address: Counts = {}
        self._connections = connections
        self._per_address = per_address

    def admit(self, address: str) -> closes.Close | None:
        """Reserve a place, to be released once; return the reason to close if there is none."""
        if self._connections and self.total >= self._connections:
            return closes.CLOSE_CONNECTIONS
        if self._per_address and self.by_address.get(address, 0) >= self._per_address:
            return closes.CLOSE_CONNECTIONS_PER_IP
        self.total += 1
        count_up(self.by_address, address)
        return None

    def release(self, address: str) -> None:
        """Release a place. Raises KeyError if the address has none."""
        count_down(self.by_address, address)
        self.total -= 1
