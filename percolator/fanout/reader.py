"""The reader: where a client begins to read logs, and where it goes on when it leaves some.

It moves cursors that stand alone, and nothing else: groups, turns and limits are the hub's.
"""

from typing import NamedTuple

from percolator.fanout.book import Book
from percolator.fanout.followers import Cursor
from percolator.fanout.log import ChannelLog, Log
from percolator.fanout.logs_of_all import LatestOfAll, LosslessOfAll
from percolator.fanout.lossless_log import EPOCH_STRIDE, LosslessLog
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.model import messages
from percolator.model.kinds import Kind


class Start(NamedTuple):
    """Where a client wants to begin: after a seq of an epoch, with recent events, or live."""

    since: int | None = None
    epoch: str | None = None
    recent: int = 0


class Resumed(NamedTuple):
    """What came of a resume; of a fresh start, nothing."""

    events: int = 0
    """Events that are replayed from memory."""
    from_memory: bool = False
    """True if memory has everything that the client lacks."""
    replaying: LosslessLog | None = None
    """The log, if it does not reach back far enough."""


class Reader:
    """Begins and ends the reading of the book's logs."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def read(self, cursor: Cursor, log: ChannelLog, start: Start, limit: int | None) -> Resumed:
        """Begin to read a market's log."""
        log.followers[cursor] = None
        if start.since is not None and isinstance(log, LosslessLog):
            return self._resume(cursor, log, start.since, start.epoch, limit)
        recent = start.recent if limit is None else min(start.recent, limit)
        position = log.position_before(recent) if recent else log.start_position
        cursor.positions[log] = position
        if recent and isinstance(log, LosslessLog):
            return Resumed(log.count_after(position))
        return Resumed()

    def read_all(self, cursor: Cursor, kind: Kind, start: Start, limit: int | None) -> Resumed:
        """Begin to read the log of all markets.

        What a market of a lossless kind starts with, a snapshot or recent events, is read from its
        own log, and so is what the client has read by name so far, until it has caught up.
        """
        of_all = self._book.of_all(kind)
        of_all.followers[cursor] = None
        if start.since is not None and isinstance(of_all, LosslessOfAll):
            return self._resume(cursor, of_all, start.since, start.epoch, limit)
        if isinstance(of_all, LatestOfAll):
            cursor.positions[of_all] = of_all.start_position
            return Resumed()
        cursor.positions[of_all] = of_all.head
        events = 0
        for log in self._book.markets(kind):
            if log.latest is not None and not cursor.reads(log):
                left = None if limit is None else limit - events
                events += self.read(cursor, log, Start(recent=start.recent), left).events
        return Resumed(events)

    def _resume(
        self, cursor: Cursor, log: LosslessLog, since: int, epoch: str | None, limit: int | None
    ) -> Resumed:
        """Put a cursor where it left off, after a gap if that place is gone."""
        book = self._book
        if epoch is None:
            since = min(since, book.seq)  # it may be of a replaced stream
        buffer, origin = ReplayBuffer(log, since), (since, epoch or book.epoch)
        if epoch not in (None, book.epoch):
            buffer = ReplayBuffer(log, book.first_seq - 1)
            gap = messages.gap(log.channel, since, book.first_seq, book.epoch)
            buffer.add(buffer.seq, gap)
        count = log.count_after(log.position_after(buffer.seq))
        if limit is not None and count > limit:
            after, before = log.seqs_around(limit)
            buffer.add(after, messages.gap(log.channel, buffer.seq, before))
            buffer.fetched_through, count = after, limit
        if not buffer and log.reaches(since):
            cursor.positions[log] = log.position_after(since)
            return Resumed(count, from_memory=True)
        cursor.replaying[log] = buffer
        buffer.origin = origin
        buffer.complete = log.reaches(buffer.fetched_through)
        if buffer.complete:
            return Resumed(count, from_memory=True)
        return Resumed(count, replaying=log)

    def leave_all(self, cursor: Cursor, kind: Kind) -> list[LosslessLog]:
        """Stop reading the log of all markets; what it follows by name goes on from there."""
        of_all = self._book.of_all(kind)
        replays = []
        for log in [self._book.log(each) for each in cursor.channels if each.kind is kind]:
            if cursor.reads(log):
                continue
            log.followers[cursor] = None
            if isinstance(of_all, LatestOfAll):
                cursor.positions[log] = of_all.position_in(log, cursor.positions[of_all])
            else:
                assert isinstance(log, LosslessLog)
                resumed = self._resume(cursor, log, *self._place(cursor, of_all), None)
                replays += [resumed.replaying] if resumed.replaying else []
        for read in [*cursor.positions, *cursor.replaying]:
            if read.channel.kind is kind and read.channel not in cursor.channels:
                self.stop_reading(cursor, read)
        return replays

    def _place(self, cursor: Cursor, of_all: LosslessOfAll) -> tuple[int, str]:
        """Return the seq, and its epoch, up to which a cursor has read the log of all markets."""
        buffer = cursor.replaying.get(of_all)
        if buffer is not None:
            return buffer.origin or (buffer.seq, self._book.epoch)
        position = cursor.positions[of_all]
        return position % EPOCH_STRIDE, self._book.epoch if of_all.is_current(position) else ""

    def stop_reading(self, cursor: Cursor, log: Log) -> None:
        """Stop reading a log, and the replay of what comes before it."""
        cursor.positions.pop(log, None)
        log.followers.pop(cursor, None)
        buffer = cursor.replaying.pop(log, None)
        if buffer is not None:
            buffer.on_drained()
        self._book.drop_if_idle(log)
