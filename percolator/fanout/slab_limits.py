"""Limits per market and per client: who may subscribe to what. All markets count as one more, `*`.

Every check and every release is O(1). A limit of 0 is switched off. A refused call counts nothing.

For a client's limit, the channels of one market count as one. So a page that follows three channels
of each of a hundred markets has a hundred, in whichever form it subscribes to them.

The clients of a retired market are not limited, until it is active again; for the limit of a client
it counts like any other.
"""

from collections.abc import Container

from percolator.counts import Counts, count_down, count_up
from percolator.errors import RequestError
from percolator.model.channel import Channel
from percolator.model.closes import ERRORS


class SlabLimits:
    """Counts the clients of each slab, over all its channels, and the channels of each client."""

    def __init__(
        self,
        *,
        per_slab: int,
        wildcards: int,
        channels_per_client: int,
        retired: Container[str] = (),
    ) -> None:
        """`wildcards` is how many clients may follow all markets, `retired` are markets."""
        self.clients: Counts = {}
        """The number of clients on each slab, retired or not."""
        self._retired = retired
        self._per_slab = per_slab
        self._wildcards = wildcards
        self._channels_per_client = channels_per_client

    @property
    def limited(self) -> Counts:
        """The number of clients on each slab that is not retired."""
        return {slab: n for slab, n in self.clients.items() if slab not in self._retired}

    def enter(self, slabs: Counts, channel: Channel) -> None:
        """Count one more channel for the client with these `slabs`.

        Raises RequestError, `channel_limit` or `slab_limit`; then nothing is counted.
        """
        slab = channel.slab
        if slab not in slabs:
            if self._channels_per_client and len(slabs) >= self._channels_per_client:
                raise RequestError("channel_limit", ERRORS["channel_limit"], channel.name)
            limit = self._wildcards if channel.is_wildcard else self._per_slab
            if limit and self.clients.get(slab, 0) >= limit and slab not in self._retired:
                raise RequestError("slab_limit", ERRORS["slab_limit"], channel.name)
            count_up(self.clients, slab)
        count_up(slabs, slab)

    def leave(self, slabs: Counts, slab: str) -> None:
        """Count one channel less; the client leaves the slab with the last."""
        count_down(slabs, slab)
        if slab not in slabs:
            count_down(self.clients, slab)
