"""The log of a price channel: a latest-wins log that knows when its price is from.

A price that the rule leaves out never enters it. The rule compares each with the last one that it
accepted, which is also the newest of the log, unless events may have been lost since.
"""

from percolator.fanout.latest_log import LatestLog, Windows
from percolator.fanout.logs_of_all import LatestOfAll
from percolator.fanout.price_fold import Dated, PriceRule, Remark, dated
from percolator.model.channel import Channel
from percolator.model.kinds import Event, Price


class PriceLog(LatestLog):
    """The newest price of a market that the rule has accepted."""

    __slots__ = ("_last", "_rule")

    def __init__(
        self, channel: Channel, windows: Windows, of_all: LatestOfAll, rule: PriceRule
    ) -> None:
        super().__init__(channel, windows, of_all)
        self._rule = rule
        self._last: Dated | None = None
        """What the next price is compared with; None if any is accepted."""

    def judge(self, event: Event, stored_ms: int) -> Remark | None:
        """Return what is unusual about the next price; the one after it is compared with it.

        If it is left out, it must not be appended, and the last one is compared with.
        """
        assert isinstance(event, Price)
        last, rule = self._last, self._rule
        new = dated(event.timestamp, event.price, stored_ms)
        if last is None or (new.time >= last.time and not rule.max_jump):  # the most frequent case
            self._last = new
            return None
        remark = rule.judge(last, new)
        if remark is None or not remark.left_out:
            self._last = new
        return remark

    def forget_last(self) -> None:
        """Accept any price next: some may have been lost that it would be compared with."""
        self._last = None

    def append_gap(self, order: int, before: int) -> bool:
        """Accept any price next. Return False: a lost value is replaced by the next."""
        self.forget_last()
        return super().append_gap(order, before)

    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:
        """Drop the price: the stream was replaced."""
        self.forget_last()
        super().start_again(epoch, floor=floor, last_seq=last_seq)
