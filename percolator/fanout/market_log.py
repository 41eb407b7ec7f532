"""The log of a market's own channel: what the market is, and so whether it is retired."""

from percolator.fanout.latest_log import LatestLog
from percolator.model.kinds import Event, Market


class MarketLog(LatestLog):
    """The newest description of a market; it keeps the set of retired markets, which all logs ask.

    Its own snapshot is sent in any case: a client that asks by name is told that it is retired.
    """

    __slots__ = ()

    @property
    def is_silent(self) -> bool:
        """False: whether a market is retired is the news."""
        return False

    def append(self, order: int, seq: int, event: Event) -> bool:
        """Overwrite the description. True if it is shown now, and not when the window ends."""
        self._note(event)
        return super().append(order, seq, event)

    def seed(self, order: int, seq: int, event: Event) -> None:
        """Record the description from before the part of the stream that is read, and show it."""
        self._note(event)
        super().seed(order, seq, event)

    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:
        """Drop the description: the stream was replaced, or has dropped it."""
        self.retired.discard(self.channel.slab)
        super().start_again(epoch, floor=floor, last_seq=last_seq)

    def _note(self, event: Event) -> None:
        assert isinstance(event, Market)
        if event.status == "retired":
            self.retired.add(self.channel.slab)
        else:
            self.retired.discard(self.channel.slab)
