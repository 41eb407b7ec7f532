"""The log of a latest-wins channel, and the windows that pace it.

One entry, overwritten: that is what conflation is. The first value after a quiet spell is shown at
once and opens a window; values inside the window overwrite each other; when it ends, the newest is
shown and opens the next. So the last value is never withheld.
"""

from collections import deque
from collections.abc import Callable, Iterator

from percolator.fanout.log import ChannelLog, Entry, OutgoingMessage, Position
from percolator.fanout.logs_of_all import LatestOfAll
from percolator.model.channel import Channel
from percolator.model.kinds import Event


class LatestLog(ChannelLog):
    """The newest value of a channel, and the newest that clients may see.

    A position counts the values that were shown.
    """

    __slots__ = ("_windows", "due", "of_all", "shown", "windowed")

    def __init__(self, channel: Channel, windows: "Windows", of_all: LatestOfAll) -> None:
        super().__init__(channel, 0, None, of_all.retired)
        self.of_all = of_all
        """The log of all markets."""
        self._windows = windows
        self.shown: Entry | None = None
        """The newest value that clients may see; the window may hold back a newer one."""
        self.due = 0.0
        """When the window ends."""
        self.windowed = False
        """True while the window is open."""

    def append(self, order: int, seq: int, event: Event) -> bool:
        """Overwrite the newest value. True if it is shown now, and not when the window ends."""
        self.latest = Entry(order, seq, None, event)
        if not (self.followers or self.of_all.followers):
            return self.show(order)
        return self._windows.offer(self, order)

    def seed(self, order: int, seq: int, event: Event) -> None:
        """Record the newest value from before the part of the stream that is read, and show it."""
        self.latest = Entry(order, seq, None, event)
        self.show(order)

    def show(self, order: int) -> bool:
        """Show clients the newest value. False if they already see it."""
        if self.shown is self.latest or self.latest is None:
            return False
        self.head += 1
        self.latest.order = order
        self.shown = self.latest
        self.of_all.showed(self.channel, self.latest)
        return True

    def append_gap(self, order: int, before: int) -> bool:  # noqa: ARG002 - as a lossless log
        """Return False: a lost value is replaced by the next."""
        return False

    def start_again(self, epoch: str, *, floor: int, last_seq: int | None) -> None:  # noqa: ARG002 - as a lossless log
        """Drop the value: the stream was replaced."""
        self.latest = self.shown = None
        self.of_all.forget(self.channel)

    def after(self, position: Position) -> Iterator[OutgoingMessage]:
        """Yield the value that clients see, unless the cursor has had it."""
        shown = self.shown
        if position < 0 and self.is_silent:
            return
        if shown is not None and position != self.head:
            frame = shown.snapshot if position < 0 else shown.frame
            yield OutgoingMessage(shown.order, self, self.head, frame)

    def settled(self, position: Position) -> Position:  # noqa: ARG002 - as a lossless log
        """Return the head: there is no value that the cursor lacks."""
        return self.head

    @property
    def start_position(self) -> Position:
        """The position of a cursor that begins here and now; some kinds begin with a snapshot."""
        return -1 if self.channel.kind.snapshot else self.head

    def position_before(self, count: int) -> Position:  # noqa: ARG002 - only the newest value is here
        """Return the position of a cursor that begins here and now."""
        return self.start_position

    def is_ahead(self, position: Position, seq: int) -> bool:  # noqa: ARG002 - as a lossless log
        """Return False: the newest value is right for every cursor."""
        return False

    @property
    def newest_seq(self) -> int:
        """The seq of the newest value; 0 if there is none."""
        return self.latest.seq if self.latest else 0

    @property
    def is_blank(self) -> bool:
        """True if it holds nothing that cannot be made again."""
        return self.latest is None


class Windows:
    """The open windows of all logs of one kind: of one length, so the first to open ends first."""

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        """`interval` is in seconds."""
        self._interval = interval
        self._clock = clock
        self._open: deque[LatestLog] = deque()

    @property
    def due(self) -> float | None:
        """When the next window ends; None if none is open."""
        return self._open[0].due if self._open else None

    def offer(self, log: LatestLog, order: int) -> bool:
        """Show the log's newest value, unless its window is open: then it waits for the end."""
        return not log.windowed and self._show(log, self._clock(), order)

    def close(self, next_order: Callable[[], int]) -> list[LatestLog]:
        """End the windows whose time has come; return the logs that show a new value."""
        now = self._clock()
        shown = []
        while self._open and self._open[0].due <= now:
            log = self._open.popleft()
            log.windowed = False
            if self._show(log, now, next_order()):
                shown.append(log)
        return shown

    def _show(self, log: LatestLog, now: float, order: int) -> bool:
        if not log.show(order):
            return False
        log.windowed = True
        log.due = now + self._interval
        self._open.append(log)
        return True
