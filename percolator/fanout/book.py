"""The book: the logs of all channels, written by the stream's events alone.

What it holds is a fold over the events: a gateway that has just started and one that never stopped
hold the same. It knows nothing of what follows a log, except that it calls `wake` for news.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain

from percolator.fanout.latest_log import LatestLog, Windows
from percolator.fanout.log import ChannelLog, Log
from percolator.fanout.logs_of_all import LatestOfAll, LosslessOfAll
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.market_log import MarketLog
from percolator.fanout.price_fold import PriceRule, Remark
from percolator.fanout.price_log import PriceLog
from percolator.model.channel import ALL, Channel
from percolator.model.kinds import KINDS, MARKET, PRICE, Event, Kind

Clock = Callable[[], float]


class Book:
    """All logs of a gateway, and how far the stream has been read.

    `wake` is called when a log that has followers has something new, or will have.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        wake: Callable[[], None],
        log_capacity: int = 1_000,
        intervals: Mapping[Kind, float] | None = None,
        price_rule: PriceRule | None = None,
    ) -> None:
        """`intervals` are seconds of conflation that take the place of a kind's own.

        `price_rule` decides which prices are left out; by default, those that are outdated.
        """
        self.epoch = ""
        self.seq = 0
        """The stream seq up to which everything has been read."""
        self.first_seq = 1
        """The oldest seq that the stream had when reading began."""
        self.revision = 0
        """Grows with each change of the markets that is not a new seq."""
        self.logs: dict[Channel, ChannelLog] = {}
        """The logs of markets."""
        self.latest_of_all: dict[Kind, LatestOfAll] = {}
        self.retired: set[str] = set()
        """The markets that are retired."""
        self.lossless_of_all: dict[Kind, LosslessOfAll] = {}
        """The logs of all markets, by kind."""
        self.on_replaced: Callable[[], None] = lambda: None
        """Called before a stream that was read is left for the one that took its place."""
        self._wake = wake
        self._capacity = log_capacity
        self._price_rule = price_rule or PriceRule()
        intervals = intervals or {}
        self._windows = {
            kind: Windows(intervals.get(kind, kind.conflation), clock)
            for kind in KINDS
            if not kind.lossless
        }
        self._dirty: dict[Log, None] = {}
        self._unsent = 0
        """Events of followed logs since all clients that keep up had last been sent everything."""
        self._start = 0
        self._complete = True
        self._order = 0
        self._make_logs_of_all()

    def _make_logs_of_all(self) -> None:
        for kind in KINDS:
            channel = Channel(kind, ALL)
            if kind.lossless:
                self.lossless_of_all[kind] = LosslessOfAll(
                    channel, self._capacity, floor=self._start
                )
            else:
                self.latest_of_all[kind] = LatestOfAll(channel, self.retired)

    # What the stream says.

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start reading a stream after seq `after`; start again if another one took its place.

        `first_seq` is the oldest that the stream has. `complete` says that it still holds all that
        it ever took: then a channel that has no events never had any.
        """
        replaced = bool(self.epoch) and epoch != self.epoch
        if replaced:
            self.on_replaced()
        self.epoch, self.seq, self.first_seq = epoch, after, first_seq
        self._start, self._complete = after, complete
        if replaced:
            self._start_again()
        else:
            self._make_logs_of_all()

    def seed(self, seq: int, channel: Channel, event: Event, stored_ms: int) -> None:
        """Record a channel's state from before the point where reading starts.

        It is the newest event or, of prices, the last one that was not left out.
        """
        self.revision += 1
        log = self.log(channel)
        if isinstance(log, PriceLog):
            log.judge(event, stored_ms)
        log.seed(self._next_order(), seq, event)
        self._publish(log)

    def publish(self, seq: int, channel: Channel, event: Event, stored_ms: int) -> Remark | None:
        """Record the next event of the stream, and when it was stored, in Unix milliseconds.

        Returns what is unusual about a price. One that is left out is passed like an invalid event.
        """
        self.seq = seq
        log = self.logs.get(channel) or self.log(channel)
        remark = None
        if type(log) is PriceLog:  # faster than isinstance, for a class that has an abstract one
            remark = log.judge(event, stored_ms)
            if remark is not None and remark.left_out:
                return remark
        self._order += 1
        if log.append(self._order, seq, event):
            self._publish(log)
        return remark

    def skip(self, seq: int) -> None:
        """Pass a seq that holds no valid event."""
        self.seq = seq

    def record_gap(self, before: int, channels: Collection[Channel] | None = None) -> None:
        """Note that the stream has lost events before seq `before` that were never read.

        `channels` may have lost some, wildcards among them; None: any channel may. Any price may be
        lost, unless there are `channels`.
        """
        for channel, log in self.logs.items():
            in_doubt = channels is None or channel in channels
            if isinstance(log, PriceLog) and not channels:
                log.forget_last()
            if in_doubt and log.append_gap(self._next_order(), before):
                self._mark(log)
        for of_all in self.lossless_of_all.values():
            if channels is None or of_all.channel in channels:
                of_all.append_gap(self._next_order(), before)
                self._mark(of_all)
        self.seq = max(self.seq, before - 1)
        self._start = max(self._start, before - 1)
        self._complete = False

    def forget_before(self, first_seq: int) -> None:
        """Forget the logs that lie before `first_seq`, the oldest that the stream still has.

        Those that have followers stay. So what is held is what a gateway that starts now would
        hold, and the next price of such a market is accepted, as that gateway accepts it.
        """
        first_seq = min(first_seq, self.seq + 1)
        for log in [log for log in self.logs.values() if log.newest_seq < first_seq]:
            if not log.followers:
                self._forget(log)
                self.revision += 1
            elif isinstance(log, PriceLog):
                log.forget_last()
        self._start = max(self._start, first_seq - 1)
        self._complete = self._complete and first_seq <= 1

    def last_seqs(self) -> dict[Channel, int]:
        """Return the seq of the newest event of each lossless channel; 0 if it is not known."""
        return {
            channel: log.last_seq or 0
            for channel, log in self.logs.items()
            if channel.kind.lossless
        }

    @property
    def full(self) -> bool:
        """True while more events might push out some that clients that keep up still lack."""
        return self._unsent * 2 >= self._capacity

    # What the hub asks.

    def of_all(self, kind: Kind) -> LosslessOfAll | LatestOfAll:
        """Return the log of all markets for a kind."""
        return self.lossless_of_all[kind] if kind.lossless else self.latest_of_all[kind]

    def markets(self, kind: Kind) -> Iterator[ChannelLog]:
        """Yield the logs of a kind, one per market."""
        return (log for log in self.logs.values() if log.channel.kind is kind)

    def all_logs(self) -> Iterator[Log]:
        """Yield all logs, those of all markets included."""
        return chain(self.logs.values(), map(self.of_all, KINDS))

    def log(self, channel: Channel) -> ChannelLog:
        """Return the log of a market's channel; make it if there is none."""
        log = self.logs.get(channel)
        if log is None:
            log = self.logs[channel] = self._blank_log(channel)
        return log

    def has_event(self, channel: Channel) -> bool:
        """Return whether an event of a channel is known; of any market, if it is a wildcard."""
        if channel.is_wildcard:
            return any(log.latest for log in self.markets(channel.kind))
        log = self.logs.get(channel)
        return log is not None and log.latest is not None

    def drop_if_idle(self, log: Log) -> None:
        """Forget a market's log that holds nothing and has no followers."""
        own = self.logs.get(log.channel)
        if own is not None and own.is_blank and not own.followers:
            self._forget(own)

    def take_news(self) -> list[Log]:
        """Return the logs with something new since the last call, ended windows included."""
        for windows in self._windows.values():
            for shown in windows.close(self._next_order):
                self._publish(shown)
        news = list(self._dirty)
        self._dirty.clear()
        return news

    def all_sent(self) -> None:
        """Note that all clients that keep up have been sent everything."""
        self._unsent = 0

    @property
    def due(self) -> float | None:
        """When, on the clock, the next conflation window ends; None if none is open."""
        ends = [windows.due for windows in self._windows.values()]
        return min((end for end in ends if end is not None), default=None)

    def _blank_log(self, channel: Channel) -> ChannelLog:
        if not channel.kind.lossless:
            windows, of_all = self._windows[channel.kind], self.latest_of_all[channel.kind]
            if channel.kind is PRICE:
                return PriceLog(channel, windows, of_all, self._price_rule)
            return (MarketLog if channel.kind is MARKET else LatestLog)(channel, windows, of_all)
        floor, last_seq = self._known
        return LosslessLog(
            channel, self._capacity, floor=floor, last_seq=last_seq, retired=self.retired
        )

    @property
    def _known(self) -> tuple[int, int | None]:
        """The seq after which an empty channel is known, and the seq of its newest event."""
        return (0, 0) if self._complete else (self._start, None)

    def _start_again(self) -> None:
        """Leave the previous stream behind; logs without followers go with it."""
        self.revision += 1
        floor, last_seq = self._known
        for log in tuple(self.logs.values()):
            if log.followers:
                log.start_again(self.epoch, floor=floor, last_seq=last_seq)
                self._mark(log)
            else:
                self._forget(log)
        for of_all in self.lossless_of_all.values():
            of_all.start_again(self.epoch, floor=floor, last_seq=None)
            self._mark(of_all)

    def _forget(self, log: ChannelLog) -> None:
        """Forget a log, and drop what it holds: its window may still be open."""
        del self.logs[log.channel]
        log.start_again(self.epoch, floor=0, last_seq=None)

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def _publish(self, log: ChannelLog) -> None:
        """Note that a log has something new, also for those that follow all markets."""
        kind = log.channel.kind
        if kind.lossless:
            self.lossless_of_all[kind].add(log)
        self._mark(log)
        self._mark(self.of_all(kind))

    def _mark(self, log: Log) -> None:
        if log.followers:
            self._unsent += 1
            if log not in self._dirty:
                self._dirty[log] = None
                self._wake()
