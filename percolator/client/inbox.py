"""The inbox: what has arrived, and the program has not taken yet. Bounded. No I/O, no clock."""

from collections import deque
from collections.abc import Container

from percolator.client.bookmark import Position
from percolator.client.channels import Arrival
from percolator.client.messages import Gap, Message, Refused, Update

LENGTH = 10_000
"""Messages of lossless channels that wait; one more, and gaps take their place."""


class Inbox:
    """One slot per channel of which the latest wins, and a queue for all that is lossless.

    They take turns, so that neither a flood of trades nor one of prices holds up the other.
    """

    def __init__(self) -> None:
        self._slots: dict[str, Arrival] = {}
        self._queue: deque[Arrival] = deque()
        self._slot_is_next = True

    def put(self, arrival: Arrival) -> None:
        """Add a message. A price replaces the one before it."""
        message = arrival.message
        if isinstance(message, Refused):
            self._slots[f"refused {message.channel}"] = arrival
        elif isinstance(message, Update) and not message.event.kind.lossless:
            self._slots[message.channel] = arrival
        else:
            if len(self._queue) >= LENGTH:
                self._queue = deque(_condensed(self._queue))
            self._queue.append(arrival)

    def take(self) -> Message | None:
        """Return the next message; None if there is none."""
        if self._slots and (self._slot_is_next or not self._queue):
            self._slot_is_next = False
            return self._slots.pop(next(iter(self._slots))).message
        self._slot_is_next = True
        return self._queue.popleft().message if self._queue else None

    def discard(self, followed: Container[str]) -> None:
        """Drop what no channel that is still followed gets."""
        self._queue = deque(each for each in self._queue if _is_wanted(each, followed))
        self._slots = {k: each for k, each in self._slots.items() if _is_wanted(each, followed)}

    def positions(self) -> dict[str, Position | None]:
        """Return where the channels stood before the oldest message that waits."""
        found: dict[str, Position | None] = {}
        for arrival in self._queue:
            for name, position in arrival.owners.items():
                found.setdefault(name, position)
        return found


def _is_wanted(arrival: Arrival, followed: Container[str]) -> bool:
    return any(name in followed for name in arrival.owners)


def _condensed(queue: deque[Arrival]) -> list[Arrival]:
    """Return one gap per channel that covers all of its messages."""
    found: dict[str, Arrival] = {}
    for arrival in queue:
        name = next(iter(arrival.owners))
        gap, before = _cover(name, arrival.message), found.get(name)
        owners = arrival.owners if before is None else arrival.owners | before.owners
        if before is not None:
            gap = _joined(before.message, gap)
        found[name] = Arrival(gap, owners)
    return list(found.values())


def _cover(name: str, message: Message) -> Gap:
    """Return a gap that covers one message."""
    if isinstance(message, Gap):
        return Gap(name, message.after, message.before, message.epoch)
    assert isinstance(message, Update)
    prev = message.prev if message.channel == name else None  # a wildcard has many chains
    return Gap(name, message.seq - 1 if prev is None else prev, message.seq + 1)


def _joined(first: Message, second: Gap) -> Gap:
    """Return a gap that covers two; behind a new epoch, seqs start again."""
    assert isinstance(first, Gap)
    if second.epoch is not None:
        return Gap(second.channel, first.after, second.before, second.epoch)
    after = first.after if first.epoch is not None else min(first.after, second.after)
    return Gap(second.channel, after, max(first.before, second.before), first.epoch)
