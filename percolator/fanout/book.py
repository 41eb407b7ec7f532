"""The book: the logs of all channels, written by the stream's events alone.

What it holds is a fold over the events: a gateway that has just started and one that never stopped
hold the same. Who follows a log is not its business, but for telling that there is something new.
"""

from collections.abc import Callable, Container

from percolator.fanout.conflation import Windows
from percolator.fanout.log import ChannelLog, LatestLog, LosslessLog
from percolator.model.events import Event, Kind

Clock = Callable[[], float]


class Book:
    """All logs of a gateway, and where in the stream it stands.

    `wake` is called when a log that somebody follows has something new, or will have.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        wake: Callable[[], None],
        log_capacity: int = 1_000,
        price_interval: float = 0.5,
    ) -> None:
        self.epoch = ""
        self.seq = 0
        """The stream seq up to which everything has been read."""
        self.first_seq = 1
        """The oldest seq that the stream had when reading began."""
        self.logs: dict[tuple[Kind, str], ChannelLog] = {}
        self._clock = clock
        self._wake = wake
        self._capacity = log_capacity
        self._windows = Windows(price_interval)
        self._dirty: dict[ChannelLog, None] = {}
        self._unsent = 0
        """Events of followed logs, since those who keep up had last been sent everything."""
        self._start = 0
        self._complete = True
        self._order = 0

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start reading a stream after seq `after`; start again where another one took its place.

        `first_seq` is the oldest that the stream has. `complete` says that it still holds all that
        it ever took: then a channel that has no events never had any.
        """
        replaced = bool(self.epoch) and epoch != self.epoch
        if replaced:
            self._before_replaced()
        self.epoch, self.seq, self.first_seq = epoch, after, first_seq
        self._start, self._complete = after, complete
        if replaced:
            self._start_again()

    def seed(self, seq: int, kind: Kind, slab: str, event: Event) -> None:
        """Take a channel's newest event from before the point where reading starts."""
        log = self._log(kind, slab)
        log.seed(self._next_order(), seq, event)
        self._mark(log)

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
        elif self._windows.offer(log, self._clock(), self._order):
            self._mark(log)

    def skip(self, seq: int) -> None:
        """Take note of a seq that holds no valid event."""
        self.seq = seq

    def record_gap(self, before: int, channels: Container[tuple[Kind, str]] | None = None) -> None:
        """Take note that the stream has a hole before seq `before`, of what nobody has read.

        `channels` may have lost events in it; None: any of them may.
        """
        for named, log in self.logs.items():
            if isinstance(log, LosslessLog) and (channels is None or named in channels):
                log.append_gap(self._next_order(), before)
                self._mark(log)
        self.seq = max(self.seq, before - 1)
        self._start = max(self._start, before - 1)
        self._complete = False

    def last_seqs(self) -> dict[tuple[Kind, str], int]:
        """Give the newest event of each lossless channel; 0 where none is known."""
        return {
            named: log.last_seq or 0
            for named, log in self.logs.items()
            if isinstance(log, LosslessLog)
        }

    def _log(self, kind: Kind, slab: str) -> ChannelLog:
        log = self.logs.get((kind, slab))
        if log is None:
            log = self.logs[kind, slab] = self._blank_log(kind, slab)
        return log

    def _blank_log(self, kind: Kind, slab: str) -> ChannelLog:
        if kind == "price":
            return LatestLog(kind, slab)
        floor, last_seq = self._known
        return LosslessLog(kind, slab, self._capacity, floor=floor, last_seq=last_seq)

    @property
    def _known(self) -> tuple[int, int | None]:
        """From where on a channel without events is known, and the seq of its newest event."""
        return (0, 0) if self._complete else (self._start, None)

    def _start_again(self) -> None:
        """Leave the stream before this one behind; logs that nobody follows go with it."""
        floor, last_seq = self._known
        for log in tuple(self.logs.values()):
            if log.followers:
                log.start_again(self.epoch, floor=floor, last_seq=last_seq)
                self._mark(log)
            else:
                del self.logs[log.kind, log.slab]

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def _mark(self, log: ChannelLog) -> None:
        if log.followers:
            self._unsent += 1
            if log not in self._dirty:
                self._dirty[log] = None
                self._wake()

    @property
    def full(self) -> bool:
        """True while more events might push out what clients that keep up have not been sent."""
        return self._unsent * 2 >= self._capacity

    def _before_replaced(self) -> None:
        """Let whoever builds on the book finish with a stream that is no more."""

    def _news(self) -> list[ChannelLog]:
        """Take the logs that have something new, those with a price that is due now among them."""
        for shown in self._windows.close(self._clock(), self._next_order()):
            self._mark(shown)
        news = list(self._dirty)
        self._dirty.clear()
        return news

    @property
    def due(self) -> float | None:
        """When, on the clock, the next conflation window ends; None where none is open."""
        return self._windows.due
