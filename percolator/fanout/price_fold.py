"""The fold over a market's prices: which of them is the state, by their times and values alone.

A price that is older than the last one does not replace it, so two publishers of one market do no
harm. Optionally, neither does one that is too far from it. So the newest price need not be the
state, and where a market's history is read only in part, `settle` says if the part is enough.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

MEMORY_MS = 60_000
"""No price is refused as a jump if the last one was stored longer ago than this.

So a market whose price has really jumped goes on after a minute.
"""
FIRST_LOOK_MS = 8_000
"""How much of a market's history is read at first, if its newest price has an old timestamp."""
MAX_POSSIBLE = 32
"""States that may be possible at a time; if there are more, a part of the history is no use."""


class Dated(NamedTuple):
    """What decides about a price: its time, its value, and when it was stored; Unix milliseconds.

    The time is the publisher's, but no later than `stored`: a clock that is ahead wins nothing.
    """

    time: int
    price: float
    stored: int


def dated(timestamp: int, price: float, stored: int) -> Dated:
    """Return what decides about a price that was stored at a time."""
    time = timestamp if timestamp < stored else stored  # noqa: FURB136 - min() takes longer
    return tuple.__new__(Dated, (time, price, stored))  # a fifth of the time of Dated(...)


class Remark(NamedTuple):
    """What is unusual about a price, the price it was compared with, and if it is left out."""

    reason: Literal["outdated", "price_jump"]
    last: float
    left_out: bool


class PriceRule:
    """Decides whether a price replaces the last one."""

    def __init__(self, max_jump: float = 0, *, refuse_jumps: bool = False) -> None:
        """`max_jump` is the factor by which a price may differ from the last; 0: any."""
        self.max_jump = max_jump
        self.refuses_jumps = refuse_jumps and max_jump > 0

    def judge(self, last: Dated, new: Dated) -> Remark | None:
        """Return what is unusual about a price after the last one that was accepted, if anything.

        Of two with the same time, the later one in the stream wins.
        """
        if new.time < last.time:
            return Remark("outdated", last.price, left_out=True)
        if self.max_jump and self._is_jump(last.price, new.price):
            refused = self.refuses_jumps and new.stored - last.stored <= MEMORY_MS
            return Remark("price_jump", last.price, left_out=refused)
        return None

    def accepts(self, last: Dated, new: Dated) -> bool:
        """Return whether a price replaces the last one."""
        remark = self.judge(last, new)
        return remark is None or not remark.left_out

    def _is_jump(self, last: float, new: float) -> bool:
        return new > last * self.max_jump or last > new * self.max_jump


def fold(rule: PriceRule, prices: Sequence[Dated]) -> int | None:
    """Return the index of the price that is the state after all of a market; None without any."""
    state: int | None = None
    for index, price in enumerate(prices):
        if state is None or rule.accepts(prices[state], price):
            state = index
    return state


def settle(rule: PriceRule, prices: Sequence[Dated], since: int) -> int | None:
    """Return the index of the price that is the state after the last part of a market's prices.

    The part has every price that was stored at `since` or later. None if the state depends on what
    came before, of which only this is known.
    """
    possible: set[int] = set()
    earlier, after = True, -1
    """Whether the state may still be from before the part, and what its time is later than."""
    for index, price in enumerate(prices):
        possible = {index if rule.accepts(prices[at], price) else at for at in possible}
        if not earlier or price.time <= after:
            continue
        possible.add(index)
        may_jump = rule.refuses_jumps and price.stored - since <= MEMORY_MS
        if price.time >= since and not may_jump:
            earlier = False
        elif not may_jump:
            after = price.time
        if len(possible) > MAX_POSSIBLE:
            return None
    return None if earlier or len(possible) != 1 else possible.pop()


def first_look(rule: PriceRule, newest: Dated) -> int:
    """Return the time from which on prices should be read, to find the state after the newest."""
    since = max(newest.time, newest.stored - FIRST_LOOK_MS)
    return min(since, newest.stored - MEMORY_MS - 1) if rule.refuses_jumps else since
