"""Followers: whoever is owed what comes after its positions, and a way to write it.

A *cursor* is one client. A *group* is all clients with the same channels that stand at the same
place: they are owed the same bytes, so these are collected and joined once for all of them.
"""

import logging
from collections.abc import Callable
from operator import itemgetter
from typing import Protocol

from percolator.fanout.entry import OutgoingMessage
from percolator.fanout.log import ChannelLog, LatestLog, LosslessLog, Position
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.stats import Stats

TrySend = Callable[[bytes], int]

_BY_ORDER = itemgetter(0)

logger = logging.getLogger(__name__)

TURN_BYTES = 32 * 1024 * 1024
"""A group gets at most this much in one turn, over all its members: so that a turn stays short."""


class Writer(Protocol):
    """The way to a client."""

    @property
    def try_send(self) -> TrySend | None:
        """Gives bytes to the kernel at once, and says how many it took; raises OSError.

        None while anything waits in the buffer, which would come too late then, and where there is
        no such way.
        """

    def send(self, data: bytes) -> None:
        """Write frames, as they are; what the kernel does not take waits in the buffer."""

    def terminate(self) -> None:
        """End it without a word."""


class Follower:
    """A set of positions in logs; a flush brings them forward."""

    __slots__ = ("catching_up", "positions", "queued")

    def __init__(self, positions: dict[ChannelLog, Position]) -> None:
        self.positions = positions
        self.queued = False
        """True while it waits in the hub's queue for its turn."""
        self.catching_up = False
        """True for a client that catches up: nobody waits for it."""

    def follow(self) -> None:
        """Hear of what is new in the logs."""
        for log in self.positions:
            log.followers[self] = None

    def unfollow(self) -> None:
        """Hear of it no more."""
        for log in self.positions:
            log.followers.pop(self, None)

    def collect(self, most: int) -> tuple[list[OutgoingMessage], bool]:
        """Collect what follows its positions, in order, about `most` bytes of it, and move them.

        The flag says that there is more. At least one message is given where any is owed.
        """
        positions = self.positions
        outgoing: list[OutgoingMessage] = []
        sources = 0
        for log, position in positions.items():
            if position != log.head:
                if found := log.after(position, most + 1):  # one too many tells that it is cut
                    outgoing += found
                    sources += 1
                elif isinstance(log, LatestLog):
                    positions[log] = log.head
        if sources > 1:
            outgoing.sort(key=_BY_ORDER)
        size = 0
        for count, message in enumerate(outgoing):
            size += len(message.frame)
            if size > most and count:
                return outgoing[:count], True
            positions[message.log] = message.position
        return outgoing, bool(outgoing) and any(at < log.head for log, at in positions.items())


class Cursor(Follower):
    """One client: where it stands in the logs of its channels.

    It is a member of a `group`, and then shares the group's positions, or it stands alone with
    its own. A `paused` one has a full buffer: it is *behind*, and owed nothing until it drains.
    """

    __slots__ = ("group", "paused", "replaying", "slabs", "writer")

    def __init__(self, writer: Writer) -> None:
        super().__init__({})
        self.writer = writer
        self.group: Group | None = None
        self.paused = False
        self.replaying: dict[LosslessLog, ReplayBuffer] = {}
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
        _send(self.writer, data)


class Group(Follower):
    """All clients with the same channels that stand at the same place."""

    __slots__ = ("_writers", "members")

    def __init__(self, positions: dict[ChannelLog, Position]) -> None:
        super().__init__(positions)
        self.members: dict[Cursor, None] = {}
        self._writers: list[Writer] | None = None

    def add(self, cursor: Cursor) -> None:
        """Take in a client that stands where the group stands."""
        cursor.unfollow()
        cursor.group = self
        cursor.positions = self.positions
        self.members[cursor] = None
        self._writers = None

    def remove(self, cursor: Cursor) -> None:
        """Let a client go; also while `deliver` walks the list that it took."""
        del self.members[cursor]
        self._writers = None

    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write the same bytes to each member, past its buffer where that is empty."""
        writers = self._writers
        if writers is None:
            writers = self._writers = [cursor.writer for cursor in self.members]
        size = len(data)
        stats.messages_sent += messages * len(writers)
        stats.bytes_sent += size * len(writers)
        for writer in writers:
            taken = 0
            try:
                try_send = writer.try_send
                if try_send is not None and (taken := try_send(data)) == size:
                    continue
            except OSError:
                pass  # the kernel's buffer is full, or the line dead: `send` sees to either
            _send(writer, data[taken:])


def _send(writer: Writer, data: bytes) -> None:
    """Send to one client; one that this fails for has not got what it was owed, and is cut off."""
    try:
        writer.send(data)
    except Exception:
        logger.exception("a client cannot be written to, and is cut off")
        writer.terminate()
