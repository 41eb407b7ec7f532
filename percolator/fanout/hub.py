"""The hub: the book's logs, out to their followers.

A flush takes each follower that has something to get, collects what follows its positions, joins
it once and writes it once. A client that comes, resumes, catches up or changes its channels is
alone, is brought to the head, and then joins the group that is there.

A write may come back in: a client's full buffer calls `pause`, and a write that fails calls
`remove`, from inside `deliver`. So positions are moved before anything is written, `Group.deliver`
walks a list that `Group.remove` replaces but never changes, and after each write to one client the
hub asks again whether the client is paused or gone.

Nothing here does I/O or knows the time, except through what it is given: the clients' writers, the
clock, and `wake`, which is called when there is something to flush.
"""

from collections.abc import Callable, Iterable

from percolator.errors import RequestError
from percolator.fanout.book import Book, Clock
from percolator.fanout.followers import Cursor, Group
from percolator.fanout.log import Follower, Log, Position
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.reader import Reader, Resumed, Start
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.fanout.slab_limits import SlabLimits
from percolator.fanout.turns import Turns
from percolator.model.channel import Channel
from percolator.stats import Stats


class Hub:
    """The cursors and groups that follow the book's logs, and the flush."""

    def __init__(
        self,
        book: Book,
        *,
        clock: Clock,
        wake: Callable[[], None],
        stats: Stats,
        limits: SlabLimits,
        turn_bytes: int = 32_768,
        turn_seconds: float = 0.02,
    ) -> None:
        """Start with no clients.

        `turn_bytes` bounds one write to a client; after `turn_seconds` a flush leaves the groups
        that are left to the next.
        """
        self.book = book
        self._reader = Reader(book)
        self.paused = 0
        """How many clients are paused."""
        self._wake = wake
        self._stats = stats
        self._limits = limits
        self._turn_bytes = turn_bytes
        self._groups: dict[frozenset[Log], Group] = {}
        self._clock = clock
        self._turns = Turns(clock, turn_seconds)
        book.on_replaced = self._end_replays

    @property
    def groups(self) -> Iterable[Group]:
        """The groups that have members; each client is in one of them, or stands alone."""
        return self._groups.values()

    # What clients ask for.

    def subscribe(
        self, cursor: Cursor, channel: Channel, start: Start, limit: int | None = None
    ) -> Resumed:
        """Subscribe a client to a channel; one that it already follows is left as it is.

        At most `limit` events are replayed. If the log does not reach back far enough, it is
        returned, and `finish_replay` must follow in the end. Raises RequestError if a limit is
        met; then nothing has changed.
        """
        if channel in cursor.channels:
            return Resumed()
        self._limits.enter(cursor.slabs, channel)
        cursor.channels[channel] = None
        if channel.wildcard in cursor.channels and not channel.is_wildcard:
            return Resumed()  # it is read already, with all markets
        self._leave_group(cursor)
        self._enqueue(cursor)
        if channel.is_wildcard:
            return self._reader.read_all(cursor, channel.kind, start, limit)
        return self._reader.read(cursor, self.book.log(channel), start, limit)

    def notify_replay(self, cursor: Cursor) -> None:
        """Send what was added to a cursor's replay buffers, in its turn."""
        self._enqueue(cursor)

    def finish_replay(self, cursor: Cursor, buffer: ReplayBuffer) -> None:
        """Move a replaying cursor to the log once this buffer is sent, with or without a gap."""
        if buffer in cursor.replaying.values():
            buffer.complete = True
            self._enqueue(cursor)

    def unsubscribe(self, cursor: Cursor, channel: Channel) -> list[LosslessLog]:
        """Stop sending a channel to a client. Raises RequestError if it does not follow it.

        Returns the logs that do not reach back to where a client goes on that leaves a wildcard,
        and follows markets of it by name: `finish_replay` must follow for each.
        """
        if channel not in cursor.channels:
            name = channel.name
            raise RequestError("not_subscribed", f"not subscribed to {name}", name)
        del cursor.channels[channel]
        self._limits.leave(cursor.slabs, channel.slab)
        if channel.is_wildcard:
            self._leave_group(cursor)
            self._enqueue(cursor)
            return self._reader.leave_all(cursor, channel.kind)
        if channel.wildcard not in cursor.channels:
            self._leave_group(cursor)
            self._enqueue(cursor)
            self._reader.stop_reading(cursor, self.book.log(channel))
        return []

    def remove(self, cursor: Cursor) -> None:
        """Forget a client, however it went."""
        self._leave_group(cursor)
        for log in (*cursor.positions, *cursor.replaying):
            self._reader.stop_reading(cursor, log)
        for channel in cursor.channels:
            self._limits.leave(cursor.slabs, channel.slab)
        cursor.channels = {}
        if cursor.paused:
            cursor.paused = False
            self.paused -= 1

    def pause(self, cursor: Cursor) -> None:
        """Stop sending to a client whose buffer is full: it keeps its place."""
        if not cursor.paused:
            cursor.paused = cursor.catching_up = True
            self.paused += 1
            self._leave_group(cursor)

    def resume(self, cursor: Cursor) -> None:
        """Go on sending to a client whose buffer has drained, from where it stands."""
        if cursor.paused:
            cursor.paused = False
            self.paused -= 1
            self._enqueue(cursor)

    def has_everything(self, cursor: Cursor) -> bool:
        """True if a client was sent all that its logs hold: it may resume from the book's seq."""
        if cursor.paused or cursor.replaying:
            return False
        return all(position == log.head for log, position in cursor.positions.items())

    # The flush.

    def flush(self) -> bool:
        """Bring followers forward, for about `turn_seconds`. True if some are left."""
        for log in self.book.take_news():
            for follower in log.followers:
                self._turns.add(follower)
        for follower in self._turns.take():
            self._advance(follower)
        if self._turns.only_late:
            self.book.all_sent()
        return bool(self._turns)

    def _enqueue(self, follower: Follower) -> None:
        if self._turns.add(follower):
            self._wake()

    def _advance(self, follower: Follower) -> None:
        """Write to one follower once, from what it has not had."""
        max_bytes = follower.turn_bytes(self._turn_bytes)
        if not max_bytes:
            return
        if isinstance(follower, Cursor) and follower.replaying:
            self._advance_replays(follower, max_bytes)
            if follower.paused:
                return
        outgoing, cut = follower.collect(max_bytes)
        if outgoing:
            data = b"".join([message.frame for message in outgoing])
            self._stats.gaps += sum(message.gap for message in outgoing)
            follower.sent_at = self._clock()
            follower.deliver(data, len(outgoing), self._stats)
        if isinstance(follower, Cursor):
            follower.catching_up = follower.paused or cut or any(follower.replaying.values())
        if cut:
            self._enqueue(follower)
        elif isinstance(follower, Cursor):
            self._join_group(follower)

    def _advance_replays(self, cursor: Cursor, max_bytes: int) -> None:
        """Send a cursor some of its replays; if one has reached the log, go on there."""
        for log, buffer in tuple(cursor.replaying.items()):
            frames = buffer.pop(max_bytes)
            if frames:
                cursor.sent_at = self._clock()
                cursor.deliver(b"".join(frames), len(frames), self._stats)
            if log not in cursor.replaying:
                return  # the write failed, and the client is gone
            if buffer:
                self._enqueue(cursor)
            elif buffer.complete or buffer.reaches_log:
                cursor.positions[log] = buffer.position
                del cursor.replaying[log]
            buffer.on_drained()
            if cursor.paused:
                return

    def _end_replays(self) -> None:
        """End all replays: they are of a stream that is being replaced."""
        for log in self.book.all_logs():
            for follower in log.followers:
                if isinstance(follower, Cursor):
                    self._end_replay(follower, log)

    @staticmethod
    def _end_replay(cursor: Cursor, log: Log) -> None:
        """Move a cursor to the log, at the place that its replay has reached."""
        buffer = cursor.replaying.pop(log, None)
        if buffer is not None:
            cursor.positions[log] = buffer.position
            buffer.on_drained()

    def _join_group(self, cursor: Cursor) -> None:
        """Add a client to the group with its channels, if it stands at the same place."""
        if cursor.paused or cursor.replaying or not cursor.positions:
            return
        if any(log.is_ahead(at, self.book.seq) for log, at in cursor.positions.items()):
            return
        apart = cursor.apart
        for log in [log for log in cursor.positions if log.channel in apart]:
            self._reader.stop_reading(cursor, log)  # from here on, it is read with all markets
        heads: dict[Log, Position] = {log: log.head for log in cursor.positions}
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
