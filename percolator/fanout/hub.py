"""The hub: the book's logs, out to whoever follows them.

A flush takes each follower that is owed something, collects what follows its positions, joins it
once and writes it once. A client that comes, resumes, catches up or changes its channels stands
alone, is brought to the head, and then joins the group of those who stand there.

Nothing here does I/O or knows the time, but through what it is given: the clients' `write`, the
clock, and `wake`, which is called when there is something to flush.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from percolator.errors import RequestError
from percolator.fanout.book import Book, Clock
from percolator.fanout.followers import TURN_BYTES, Cursor, Follower, Group
from percolator.fanout.log import ChannelLog, LosslessLog, Position
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.fanout.slab_limits import SlabLimits
from percolator.model import messages
from percolator.model.events import parse_channel
from percolator.stats import Stats


class Start(NamedTuple):
    """Where a client wants to begin: after a seq of an epoch, with recent events, or live."""

    since: int | None = None
    epoch: str | None = None
    recent: int = 0


class Resumed(NamedTuple):
    """How many events come from memory; the log, where it does not reach back far enough."""

    events: int = 0
    replaying: LosslessLog | None = None


class GroupSummary(NamedTuple):
    """The channels that the clients of a group follow, and how many clients there are."""

    channels: list[str]
    size: int


class HubSummary(NamedTuple):
    """What the hub's clients are doing: how many are paused, how many stand alone, the groups."""

    paused: int
    alone: int
    groups: list[GroupSummary]


class Hub(Book):
    """The book, the cursors and groups that follow its logs, and the flush."""

    def __init__(
        self,
        *,
        clock: Clock,
        wake: Callable[[], None],
        stats: Stats,
        limits: SlabLimits,
        log_capacity: int = 1_000,
        price_interval: float = 0.5,
        turn_bytes: int = 32_768,
        turn_seconds: float = 0.02,
    ) -> None:
        """Start with no logs and no clients.

        `turn_bytes` bounds one write to a client; after `turn_seconds` a flush leaves the rest
        to the next.
        """
        super().__init__(
            clock=clock, wake=wake, log_capacity=log_capacity, price_interval=price_interval
        )
        self.paused = 0
        """How many clients are blocked."""
        self._stats = stats
        self._limits = limits
        self._turn_bytes = turn_bytes
        self._turn_seconds = turn_seconds
        self._groups: dict[frozenset[ChannelLog], Group] = {}
        self._queue: deque[Follower] = deque()

    # What clients ask for.

    def subscribe(
        self, cursor: Cursor, channel: str, start: Start, most: int | None = None
    ) -> Resumed:
        """Let a client follow a channel; one that it follows already goes on as it is.

        A resume replays `most` events at the most. Where the log does not reach back far enough,
        it is returned, and `finish_replay` must follow in the end. Raises RequestError if a limit
        is met; then nothing has changed.
        """
        named = parse_channel(channel)
        assert named is not None, channel
        log = self.logs.get(named)
        if log is not None and (log in cursor.positions or log in cursor.replaying):
            return Resumed()
        self._limits.enter(cursor.slabs, channel, named[1])
        log = log or self._log(*named)
        self._leave_group(cursor)
        log.followers[cursor] = None
        self._enqueue(cursor)
        if start.since is not None and isinstance(log, LosslessLog):
            return self._resume(cursor, log, start.since, start.epoch, most)
        cursor.positions[log] = log.start_position
        if start.recent and isinstance(log, LosslessLog):
            cursor.positions[log] = log.position_before(start.recent)
        return Resumed()

    def _resume(
        self, cursor: Cursor, log: LosslessLog, since: int, epoch: str | None, most: int | None
    ) -> Resumed:
        """Put a cursor where it left, over a gap where what it had is of no use any more."""
        if epoch is None:
            since = min(since, self.seq)  # it may be of a stream that is no more: nobody can tell
        buffer = ReplayBuffer(since)
        if epoch not in (None, self.epoch):
            buffer = ReplayBuffer(self.first_seq - 1)
            gap = messages.gap(log.channel, since, self.first_seq, self.epoch)
            buffer.add(buffer.seq, gap)
        count = log.count_after(log.position_after(buffer.seq))
        if most is not None and count > most:
            after, before = log.seqs_around(most)
            buffer.add(after, messages.gap(log.channel, buffer.seq, before))
            buffer.fetched_through, count = after, most
        if not buffer and log.reaches(since):
            cursor.positions[log] = log.position_after(since)
            return Resumed(count)
        cursor.replaying[log] = buffer
        buffer.complete = log.reaches(buffer.fetched_through)
        return Resumed(count, None if buffer.complete else log)

    def notify_replay(self, cursor: Cursor) -> None:
        """Take note that more was added to a cursor's histories."""
        self._enqueue(cursor)

    def finish_replay(self, cursor: Cursor, buffer: ReplayBuffer) -> None:
        """Let a held cursor go on in the log from where this buffer ends, gap or no gap."""
        if buffer in cursor.replaying.values():
            buffer.complete = True
            self._enqueue(cursor)

    def unsubscribe(self, cursor: Cursor, channel: str) -> None:
        """Let a client follow a channel no more. Raises RequestError where it does not."""
        named = parse_channel(channel)
        log = self.logs.get(named) if named else None
        if log is None or (log not in cursor.positions and log not in cursor.replaying):
            raise RequestError("not_subscribed", "the client is not subscribed to it", channel)
        self._leave_group(cursor)
        cursor.positions.pop(log, None)
        self._drop(cursor, log)
        self._enqueue(cursor)

    def remove(self, cursor: Cursor) -> None:
        """Forget a client, however it went."""
        self._leave_group(cursor)
        for log in (*cursor.positions, *cursor.replaying):
            self._drop(cursor, log)
        cursor.positions = {}
        if cursor.paused:
            cursor.paused = False
            self.paused -= 1

    def pause(self, cursor: Cursor) -> None:
        """Take note that a client's buffer is full: it keeps its place and is owed nothing yet."""
        if not cursor.paused:
            cursor.paused = cursor.catching_up = True
            self.paused += 1
            self._leave_group(cursor)

    def resume(self, cursor: Cursor) -> None:
        """Take note that a client's buffer has drained: it catches up from where it stands."""
        if cursor.paused:
            cursor.paused = False
            self.paused -= 1
            self._enqueue(cursor)

    def _drop(self, cursor: Cursor, log: ChannelLog) -> None:
        log.followers.pop(cursor, None)
        if isinstance(log, LosslessLog) and log in cursor.replaying:
            cursor.replaying.pop(log).on_drained()
        self._limits.leave(cursor.slabs, log.slab)
        if log.blank and not log.followers:
            del self.logs[log.kind, log.slab]

    # The flush.

    def flush(self) -> bool:
        """Bring followers forward for about `turn_seconds`. True where some are left."""
        stop = self._clock() + self._turn_seconds
        for log in self._news():
            for follower in log.followers:
                if not follower.queued:
                    follower.queued = True
                    self._queue.append(follower)
        while self._queue:
            self._advance(self._queue.popleft())
            if self._clock() >= stop:
                break
        if all(follower.catching_up for follower in self._queue):
            self._unsent = 0
        return bool(self._queue)

    def _enqueue(self, follower: Follower) -> None:
        if not follower.queued:
            follower.queued = True
            self._queue.append(follower)
            self._wake()

    def _advance(self, follower: Follower) -> None:
        """Give one follower one write of what it is owed."""
        follower.queued = False
        if isinstance(follower, Cursor):
            if follower.paused or follower.group is not None:
                return
            most = self._turn_bytes
        elif isinstance(follower, Group) and follower.members:
            most = min(self._turn_bytes, TURN_BYTES // len(follower.members))
        else:
            return
        if isinstance(follower, Cursor) and follower.replaying:
            self._advance_replays(follower, most)
            if follower.paused:
                return
        outgoing, cut = follower.collect(most)
        if outgoing:
            data = b"".join([message.frame for message in outgoing])
            self._stats.gaps += sum(message.gap for message in outgoing)
            follower.deliver(data, len(outgoing), self._stats)
        if isinstance(follower, Cursor):
            follower.catching_up = follower.paused or cut or any(follower.replaying.values())
        if cut:
            self._enqueue(follower)
        elif isinstance(follower, Cursor):
            self._join_group(follower)

    def _advance_replays(self, cursor: Cursor, most: int) -> None:
        """Send a cursor some of its histories; where one has reached the log, go on there."""
        for log, buffer in tuple(cursor.replaying.items()):
            frames = buffer.take(most)
            if frames:
                cursor.deliver(b"".join(frames), len(frames), self._stats)
            if log not in cursor.replaying:
                return  # it could not be written to, and is gone
            if buffer:
                self._enqueue(cursor)
            elif buffer.complete or log.reaches(buffer.seq):
                cursor.positions[log] = log.position_after(buffer.seq)
                del cursor.replaying[log]
            buffer.on_drained()
            if cursor.paused:
                return

    def _before_replaced(self) -> None:
        """End all histories: they are of a stream that is no more."""
        for log in self.logs.values():
            if not isinstance(log, LosslessLog):
                continue
            for follower in log.followers:
                if isinstance(follower, Cursor) and log in follower.replaying:
                    buffer = follower.replaying.pop(log)
                    follower.positions[log] = log.position_after(buffer.seq)
                    buffer.on_drained()

    def _join_group(self, cursor: Cursor) -> None:
        """Bring a client together with those who follow the same and stand at the same place."""
        if cursor.paused or cursor.replaying or not cursor.positions:
            return
        if any(_is_ahead(*place, self.seq) for place in cursor.positions.items()):
            return
        heads: dict[ChannelLog, Position] = {log: log.head for log in cursor.positions}
        key = frozenset(heads)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(heads)
            group.follow()
        if group.positions == heads:
            group.add(cursor)
        else:
            self._enqueue(cursor)  # the group is about to get there

    def _leave_group(self, cursor: Cursor) -> None:
        group = cursor.group
        cursor.stand_alone()
        if group is not None and not group.members:
            group.unfollow()
            del self._groups[frozenset(group.positions)]

    def summary(self) -> HubSummary:
        """Return what the clients are doing."""
        alone = {
            follower
            for log in self.logs.values()
            for follower in log.followers
            if isinstance(follower, Cursor)
        }
        groups = [
            GroupSummary([log.channel for log in group.positions], len(group.members))
            for group in self._groups.values()
        ]
        return HubSummary(self.paused, len(alone), groups)


def _is_ahead(log: ChannelLog, position: Position, seq: int) -> bool:
    """Tell whether a cursor has read more elsewhere than a gateway that has read up to `seq`."""
    return isinstance(log, LosslessLog) and position > log.position_after(seq)
