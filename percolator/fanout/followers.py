"""Followers: whoever is owed what comes after its positions, and a way to write it.

A *cursor* is one client. A *group* is all clients with the same channels that stand at the same
place: they are owed the same bytes, so these are collected and joined once for all of them.
"""

import logging
from collections.abc import Callable
from operator import length_hint

from percolator.fanout.history import History
from percolator.fanout.log import ChannelLog, LosslessLog, Position
from percolator.fanout.stats import Stats

Write = Callable[[bytes], None]

log = logging.getLogger(__name__)

CUT_OFF = "a client cannot be written to, and is cut off"
TURN_BYTES = 32 * 1024 * 1024
"""A group gets at most this much in one turn, over all its members: so that a turn stays short."""


class Follower:
    """A set of positions in logs; a flush brings them forward."""

    __slots__ = ("late", "positions", "queued")

    def __init__(self, positions: dict[ChannelLog, Position]) -> None:
        self.positions = positions
        self.queued = False
        """True while it waits in the hub's queue for its turn."""
        self.late = False
        """True for a client that catches up: nobody waits for it."""

    def follow(self) -> None:
        """Hear of what is new in the logs."""
        for log in self.positions:
            log.followers[self] = None

    def unfollow(self) -> None:
        """Hear of it no more."""
        for log in self.positions:
            log.followers.pop(self, None)


class Cursor(Follower):
    """One client: where it stands in the logs of its channels.

    It is a member of a `group`, and then shares the group's positions, or it stands alone with
    its own. A `blocked` one has a full buffer: it is *behind*, and owed nothing until it drains.
    """

    __slots__ = ("blocked", "cut_off", "group", "held", "slabs", "write")

    def __init__(self, write: Write, cut_off: Callable[[], None] = lambda: None) -> None:
        super().__init__({})
        self.write = write
        self.cut_off = cut_off
        """Ends the client's connection, without a word."""
        self.group: Group | None = None
        self.blocked = False
        self.held: dict[LosslessLog, History] = {}
        """Logs that it has not reached yet: what is before them comes from the stream itself."""
        self.slabs: dict[str, int] = {}
        """How many of its channels are on each slab."""

    def stand_alone(self) -> None:
        """Leave the group, at the place where it stands."""
        if self.group is not None:
            self.positions = dict(self.group.positions)
            self.group.remove(self)
            self.group = None
            self.follow()

    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write to this client; cut it off where that fails: it has not got what it was owed."""
        stats.messages_sent += messages
        stats.bytes_sent += len(data)
        try:
            self.write(data)
        except Exception:
            log.exception(CUT_OFF)
            self.cut_off()


class Group(Follower):
    """All clients with the same channels that stand at the same place."""

    __slots__ = ("_writes", "members")

    def __init__(self, positions: dict[ChannelLog, Position]) -> None:
        super().__init__(positions)
        self.members: dict[Cursor, None] = {}
        self._writes: list[Write] | None = None

    def add(self, cursor: Cursor) -> None:
        """Take in a client that stands where the group stands."""
        cursor.unfollow()
        cursor.group = self
        cursor.positions = self.positions
        self.members[cursor] = None
        self._writes = None

    def remove(self, cursor: Cursor) -> None:
        """Let a client go; also while `deliver` walks the list that it took."""
        del self.members[cursor]
        self._writes = None

    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write the same bytes to each member."""
        writes = self._writes
        if writes is None:
            writes = self._writes = [cursor.write for cursor in self.members]
        stats.messages_sent += messages * len(writes)
        stats.bytes_sent += len(data) * len(writes)
        rest = iter(writes)
        while True:
            try:
                for write in rest:
                    write(data)
            except Exception:
                # One client's fault is no reason to leave out those after it.
                failed = writes[len(writes) - length_hint(rest) - 1]
                log.exception(CUT_OFF)
                self._cut_off(failed)
            else:
                return

    def _cut_off(self, write: Write) -> None:
        """End the client that something was written to: it has not got what the others have."""
        for cursor in [one for one in self.members if one.write is write]:
            cursor.cut_off()
