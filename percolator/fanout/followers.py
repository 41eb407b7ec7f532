"""Followers of logs that write to clients.

A *cursor* is one client. A *group* is all clients with the same channels that stand at the same
place: they get the same bytes, so these are collected and joined once for all of them.
"""

import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Protocol

from percolator.fanout.log import Follower, Log, Position
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.model.channel import ALL, Channel
from percolator.stats import Stats

TrySend = Callable[[bytes], int]

logger = logging.getLogger(__name__)

TURN_BYTES = 32 * 1024 * 1024
"""Bytes that a group gets in one turn, over all its members, at most: a turn must stay short."""


class Writer(Protocol):
    """The way to a client."""

    @property
    def try_send(self) -> TrySend | None:
        """Hands bytes to the kernel and returns how many it took; raises OSError.

        None while the transport has buffered data: a direct send would overtake it. None also if
        there is no direct way.
        """

    def send(self, data: bytes) -> None:
        """Write frames as they are; what the kernel does not take waits in the buffer.

        A buffer that is full calls `Hub.pause` from inside this call.
        """

    def terminate(self) -> None:
        """Cut the connection, without a close frame."""


class Cursor(Follower):
    """One client: where it stands in the logs of its channels.

    It is a member of a `group` and shares the group's positions, or it stands alone with its own.
    A `paused` cursor has a full buffer, and gets nothing until it drains.
    """

    __slots__ = ("channels", "group", "paused", "replaying", "slabs", "writer")

    def __init__(self, writer: Writer) -> None:
        super().__init__({})
        self.writer = writer
        self.channels: dict[Channel, None] = {}
        """What it is subscribed to. A channel may be read through the log of all markets."""
        self.group: Group | None = None
        self.paused = False
        self.replaying: dict[Log, ReplayBuffer] = {}
        """Logs that it has not reached yet: what comes before is read from the stream."""
        self.slabs: dict[str, int] = {}
        """How many of its channels belong to each market."""

    def turn_bytes(self, max_bytes: int) -> int:
        """Return how many bytes it may get in a turn: none while it is paused or in a group."""
        return 0 if self.paused or self.group is not None else max_bytes

    @property
    def apart(self) -> AbstractSet[Channel]:
        """The channels that it reads by themselves, and passes over in a log of all markets."""
        if ALL not in self.slabs:
            return frozenset()
        kinds = {channel.kind for channel in self.channels if channel.is_wildcard}
        read = [log.channel for log in (*self.positions, *self.replaying)]
        return {each for each in read if each.kind in kinds and not each.is_wildcard}

    def reads(self, log: Log) -> bool:
        """True if it reads this log, also if a replay of it is not over."""
        return log in self.positions or log in self.replaying

    @property
    def last_sent(self) -> float:
        """When the client was last sent something, by itself or with its group."""
        return self.sent_at if self.group is None else max(self.sent_at, self.group.sent_at)

    def stand_alone(self) -> None:
        """Leave the group and keep its place."""
        if self.group is not None:
            self.sent_at = self.last_sent
            self.positions = dict(self.group.positions)
            self.group.remove(self)
            self.group = None
            self.follow()

    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write to this client; cut it off if that fails, since it then lacks messages."""
        stats.messages_sent += messages
        stats.bytes_sent += len(data)
        _send(self.writer, data)


class Group(Follower):
    """All clients with the same channels that stand at the same place."""

    __slots__ = ("_writers", "members")

    def __init__(self, positions: dict[Log, Position]) -> None:
        super().__init__(positions)
        self.members: dict[Cursor, None] = {}
        self._writers: list[Writer] | None = None

    def turn_bytes(self, max_bytes: int) -> int:
        """Return how many bytes each member may get in a turn."""
        return min(max_bytes, TURN_BYTES // len(self.members)) if self.members else 0

    def add(self, cursor: Cursor) -> None:
        """Add a client that stands where the group stands."""
        cursor.unfollow()
        cursor.group = self
        cursor.positions = self.positions
        self.members[cursor] = None
        self._writers = None

    def remove(self, cursor: Cursor) -> None:
        """Remove a client; `deliver` may be in the middle of its list (see the hub)."""
        del self.members[cursor]
        self._writers = None

    def deliver(self, data: bytes, messages: int, stats: Stats) -> None:
        """Write the same bytes to each member, past its buffer if that is empty."""
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
                pass  # the kernel's buffer is full, or the connection is dead: `send` handles both
            _send(writer, data[taken:])


def _send(writer: Writer, data: bytes) -> None:
    """Send to one client; cut it off if that fails, since it then lacks messages."""
    try:
        writer.send(data)
    except Exception:
        logger.exception("cannot write to a client; it is cut off")
        writer.terminate()
