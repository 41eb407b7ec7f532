"""The history of a market's prices in the stream, as the rule for prices reads it.

It joins the reading of the stream, which knows no rule, to the rule, which knows no stream.
"""

from collections.abc import Sequence

from percolator.errors import EventError
from percolator.fanout.price_fold import Dated, PriceRule, dated, first_look, fold, settle
from percolator.jetstream.direct import Stored
from percolator.model.channel import Channel
from percolator.model.events import Decode
from percolator.model.kinds import Price


class PriceHistory:
    """Finds the price that is a market's state, among those that the stream holds."""

    def __init__(self, rule: PriceRule, decode: Decode) -> None:
        self._rule = rule
        self._decode = decode

    def replaces(self, later: Stored, newest: Stored) -> bool:
        """Return whether a later event replaces any state that there can be after the newest.

        If jumps are refused, that depends on the state.
        """
        found = self._dated(later)
        return found is not None and found.time >= newest.ms and not self._rule.refuses_jumps

    def first_look(self, newest: Stored) -> int:
        """Return the time from which on to read at first, in Unix milliseconds."""
        found = self._dated(newest) or Dated(newest.ms, 0, newest.ms)
        return first_look(self._rule, found)

    def settle(self, events: Sequence[Stored], since: int) -> Stored | None:
        """Return the state after the last events of a market: all that were stored since a time.

        None if it depends on what came before them.
        """
        valid, prices = self._read(events)
        found = settle(self._rule, prices, since)
        return None if found is None else valid[found]

    def fold(self, events: Sequence[Stored]) -> Stored | None:
        """Return the state after all events of a market; None if none of them is valid."""
        valid, prices = self._read(events)
        found = fold(self._rule, prices)
        return None if found is None else valid[found]

    def _read(self, events: Sequence[Stored]) -> tuple[list[Stored], list[Dated]]:
        found = [(event, price) for event in events if (price := self._dated(event)) is not None]
        return [event for event, _ in found], [price for _, price in found]

    def _dated(self, stored: Stored) -> Dated | None:
        """Return what decides about a price; None if the event is not valid."""
        try:
            channel = Channel.of_subject(stored.subject)
            event = self._decode(channel, stored.payload, stored.ms) if channel else None
        except EventError:
            return None
        if not isinstance(event, Price):
            return None
        return dated(event.timestamp, event.price, stored.ms)
