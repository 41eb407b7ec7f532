"""The hub: events into channel logs, logs out to whoever follows them.

A flush takes each follower that is owed something, collects what follows its positions, joins it
once and writes it once. A client that comes, resumes, catches up or changes its channels stands
alone, is brought to the head, and then joins the group of those who stand there.

Nothing here does I/O or knows the time, but through what it is given: the clients' `write`, the
clock, and `wake`, which is called when there is something to flush.
"""

from collections import deque
from collections.abc import Callable
from operator import itemgetter

from percolator.errors import RequestError
from percolator.events import Event, Kind, parse_channel
from percolator.fanout.conflation import Windows
from percolator.fanout.followers import TURN_BYTES, Cursor, Follower, Group
from percolator.fanout.limits import SlabLimits
from percolator.fanout.log import ChannelLog, LatestLog, LosslessLog, Piece, Position
from percolator.fanout.stats import Stats

Clock = Callable[[], float]

_BY_ORDER = itemgetter(0)


class Hub:
    """The logs, the cursors and groups that follow them, and the flush."""

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
        self.epoch = ""
        self.seq = 0
        """The stream seq up to which everything has been read."""
        self.behind = 0
        """How many clients are blocked."""
        self.logs: dict[tuple[Kind, str], ChannelLog] = {}
        self._clock = clock
        self._wake = wake
        self._stats = stats
        self._limits = limits
        self._capacity = log_capacity
        self._turn_bytes = turn_bytes
        self._turn_seconds = turn_seconds
        self._windows = Windows(price_interval)
        self._start = 0
        self._complete = True
        self._order = 0
        self._groups: dict[frozenset[ChannelLog], Group] = {}
        self._dirty: dict[ChannelLog, None] = {}
        self._queue: deque[Follower] = deque()

    # What the stream tells.

    def begin(self, epoch: str, after: int, *, complete: bool) -> None:
        """Start reading a stream after seq `after`; start again where another one took its place.

        `complete` says that the stream still holds all that it ever took: then a channel that has
        no events never had any.
        """
        replaced = bool(self.epoch) and epoch != self.epoch
        self.epoch, self.seq = epoch, after
        self._start, self._complete = after, complete
        for log in self.logs.values() if replaced else ():
            log.start_again(self._next_order(), epoch)
            self._mark(log)

    def seed(self, seq: int, kind: Kind, slab: str, event: Event) -> None:
        """Take a channel's newest event from before the point where reading starts."""
        log = self._log(kind, slab)
        log.seed(self._next_order(), seq, event)

    def publish(self, seq: int, kind: Kind, slab: str, event: Event) -> None:
        """Take the next event of the stream."""
        self.seq = seq
        log = self.logs.get((kind, slab)) or self._log(kind, slab)
        self._order += 1
        log.append(self._order, seq, event)
        if isinstance(log, LosslessLog):
            self._mark(log)
        elif not log.followers:
            log.show(self._order)
        else:
            self._conflate(log)

    def pass_over(self, seq: int) -> None:
        """Take note of a seq that holds no valid event."""
        self.seq = seq

    def lose(self, before: int) -> None:
        """Take note that what the stream held before seq `before` is gone, and was not read."""
        for log in self.logs.values():
            if isinstance(log, LosslessLog):
                log.break_off(self._next_order(), before)
                self._mark(log)
        self.seq = self._start = before - 1
        self._complete = False

    def _log(self, kind: Kind, slab: str) -> ChannelLog:
        log = self.logs.get((kind, slab))
        if log is None:
            log = self.logs[kind, slab] = self._blank_log(kind, slab)
        return log

    def _blank_log(self, kind: Kind, slab: str) -> ChannelLog:
        if kind == "price":
            return LatestLog(kind, slab)
        if self._complete:
            return LosslessLog(kind, slab, self._capacity, floor=0, last_seq=0)
        return LosslessLog(kind, slab, self._capacity, floor=self._start, last_seq=None)

    def _conflate(self, log: LatestLog) -> None:
        already = log.waiting
        if self._windows.offer(log, self._clock(), self._order):
            self._mark(log)
        elif not already:
            self._wake()  # somebody has to come back when the window ends

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def _mark(self, log: ChannelLog) -> None:
        if log.followers and log not in self._dirty:
            self._dirty[log] = None
            self._wake()

    # What clients ask for.

    def subscribe(
        self, cursor: Cursor, channel: str, *, since: int | None = None, recent: int = 0
    ) -> None:
        """Let a client follow a channel, from seq `since` on, or with the last `recent` events.

        One that it follows already goes on as it is. Raises RequestError where a limit is met;
        then nothing has changed.
        """
        named = parse_channel(channel)
        assert named is not None, channel
        log = self.logs.get(named)
        if log is not None and (log in cursor.positions or log in cursor.held):
            return
        self._limits.enter(cursor.slabs, channel, named[1])
        log = log or self._log(*named)
        self._leave_group(cursor)
        cursor.positions[log] = self._position(log, since, recent)
        log.followers[cursor] = None
        self._enqueue(cursor)

    def unsubscribe(self, cursor: Cursor, channel: str) -> None:
        """Let a client follow a channel no more. Raises RequestError where it does not."""
        named = parse_channel(channel)
        log = self.logs.get(named) if named else None
        if log is None or (log not in cursor.positions and log not in cursor.held):
            raise RequestError("not_subscribed", "the client is not subscribed to it", channel)
        self._leave_group(cursor)
        cursor.positions.pop(log, None)
        cursor.held.discard(log)
        self._drop(cursor, log)
        self._enqueue(cursor)

    def remove(self, cursor: Cursor) -> None:
        """Forget a client, however it went."""
        self._leave_group(cursor)
        for log in (*cursor.positions, *cursor.held):
            self._drop(cursor, log)
        cursor.positions, cursor.held = {}, set()
        if cursor.blocked:
            cursor.blocked = False
            self.behind -= 1

    def block(self, cursor: Cursor) -> None:
        """Take note that a client's buffer is full: it keeps its place and is owed nothing yet."""
        if not cursor.blocked:
            cursor.blocked = True
            self.behind += 1
            self._leave_group(cursor)

    def drained(self, cursor: Cursor) -> None:
        """Take note that a client's buffer has drained: it catches up from where it stands."""
        if cursor.blocked:
            cursor.blocked = False
            self.behind -= 1
            self._enqueue(cursor)

    def _position(self, log: ChannelLog, since: int | None, recent: int) -> Position:
        if not isinstance(log, LosslessLog):
            return None
        if since is not None:
            return log.position_after(since)
        return log.position_before(recent) if recent else None

    def _drop(self, cursor: Cursor, log: ChannelLog) -> None:
        log.followers.pop(cursor, None)
        self._limits.leave(cursor.slabs, log.slab)
        if log.blank and not log.followers:
            del self.logs[log.kind, log.slab]

    # The flush.

    @property
    def due(self) -> float | None:
        """When, on the clock, a held-back price is due; None where none is."""
        return self._windows.due

    def flush(self) -> bool:
        """Bring followers forward for about `turn_seconds`. True where some are left."""
        now = self._clock()
        for shown in self._windows.close(now, self._next_order()):
            self._mark(shown)
        for log in self._dirty:
            for follower in log.followers:
                if not follower.queued:
                    follower.queued = True
                    self._queue.append(follower)
        self._dirty.clear()
        stop = now + self._turn_seconds
        while self._queue:
            self._advance(self._queue.popleft())
            if self._clock() >= stop:
                break
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
            if follower.blocked or follower.group is not None:
                return
            most = self._turn_bytes
        elif isinstance(follower, Group) and follower.members:
            most = min(self._turn_bytes, TURN_BYTES // len(follower.members))
        else:
            return
        pieces, cut = _owed(follower.positions, most)
        if pieces:
            data = b"".join([piece.frame for piece in pieces])
            follower.deliver(data, len(pieces), self._stats)
        if cut:
            self._enqueue(follower)
        elif isinstance(follower, Cursor):
            self._join_group(follower)

    def _join_group(self, cursor: Cursor) -> None:
        """Bring a client together with those who follow the same and stand at the same place."""
        if cursor.blocked or cursor.held or not cursor.positions:
            return
        if any(position != log.head for log, position in cursor.positions.items()):
            return  # it has read more elsewhere than this gateway has; its logs will tell it when
        key = frozenset(cursor.positions)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(dict(cursor.positions))
            group.follow()
        if group.positions == cursor.positions:
            group.add(cursor)
        else:
            self._enqueue(cursor)  # the group is about to get there

    def _leave_group(self, cursor: Cursor) -> None:
        group = cursor.group
        cursor.stand_alone()
        if group is not None and not group.members:
            group.unfollow()
            del self._groups[frozenset(group.positions)]


def _owed(positions: dict[ChannelLog, Position], most: int) -> tuple[list[Piece], bool]:
    """Collect what follows `positions`, in order, about `most` bytes of it, and move them there.

    The flag says that there is more. At least one message is given where any is owed.
    """
    pieces: list[Piece] = []
    sources = 0
    for log, position in positions.items():
        if position != log.head:
            if found := log.after(position):
                pieces += found
                sources += 1
            elif position is None:
                positions[log] = log.head
    if sources > 1:
        pieces.sort(key=_BY_ORDER)
    size = 0
    for count, piece in enumerate(pieces):
        size += len(piece.frame)
        if size > most and count:
            return pieces[:count], True
        positions[piece.log] = piece.position
    return pieces, False
