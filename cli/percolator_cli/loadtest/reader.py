"""What one client has received, as positions in the reference of what it follows.

Most reads are compared with the reference as a whole. If the bytes differ, they are parsed message
by message until they agree with the reference again.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from percolator.errors import MessageError
from percolator.model import server_messages
from percolator.model.channel import Channel
from percolator.model.server_messages import Missing, ServerMessage
from percolator_cli.loadtest import wire
from percolator_cli.loadtest.reference import Event, Reference, read_event

MAX_GAPS = 10_000
"""Gaps that are kept of a client; one that gets more is disconnected."""
_UNKNOWN_PREV = b'"prev":null'
_PREV = re.compile(rb'"prev":(?:\d+|null)')


class Span(NamedTuple):
    """Consecutive messages received: the indexes from `start` up to, not including, `end`.

    A message is not in the reference if a newer one of its channel came first. It is then a
    separate span, with its channel and seq as `stray`.
    """

    start: int
    end: int
    stray: tuple[Channel, int] | None = None


class Reader:
    """Reads the bytes of one connection after its upgrade.

    `on_message` is called with each message that is not a live event or a gap, and `on_control`
    with the first byte and the payload of each control frame.
    """

    __slots__ = (
        "_index", "_on_control", "_on_message", "_place", "_rest", "_span_start", "altered",
        "bytes", "gaps", "reference", "since", "spans",
    )  # fmt: skip

    def __init__(
        self,
        reference: Reference,
        on_message: Callable[[ServerMessage], None],
        on_control: Callable[[int, bytes], None],
    ) -> None:
        self.reference = reference
        self.since: int | None = 0
        """The client must get every event after this seq; None: after the greeting's seq."""
        self.bytes = 0
        self.spans: list[Span] = []
        """What was received, without the current span."""
        self.altered = 0
        """Messages whose bytes differ from those that others got with the same seq."""
        self.gaps: list[tuple[Channel, int, int]] = []
        """Gaps that were announced: channel, which may be a wildcard, from, to."""
        self._on_message = on_message
        self._on_control = on_control
        self._place = reference.end
        """Byte position up to which the client agrees with the reference; may be in a message."""
        self._index = self._span_start = reference.count
        """The next message expected, and the start of the current span."""
        self._rest = b""
        """The beginning of an incomplete message that is not in the reference."""

    @property
    def index(self) -> int:
        """The index of the next message expected."""
        return self._index

    @property
    def needed(self) -> int:
        """The byte position from which the reader still needs the reference."""
        return self.reference.ends[self._index]

    def all_spans(self) -> tuple[Span, ...]:
        """Return everything received, in order."""
        growing = (Span(self._span_start, self._index),) if self._index > self._span_start else ()
        return (*self.spans, *growing)

    def feed(self, data: memoryview, now: float) -> None:
        """Process bytes that were read at the time `now`. Raises MessageError."""
        self.bytes += len(data)
        reference = self.reference
        if not self._rest and reference.holds(data, self._place):
            self._agree(self._place + len(data), now)
        else:
            self._differ(bytes(data), now)

    def _agree(self, place: int, now: float) -> None:
        """Advance to a byte position up to which the client agrees with the reference."""
        self._place = place
        if place >= self.reference.ends[self._index + 1]:
            index = self.reference.index_at(place)
            self.reference.delivered(self._index, index, now)
            self._index = index

    def _differ(self, data: bytes, now: float) -> None:
        """Parse, message by message, bytes that are not in the reference, or not yet."""
        reference = self.reference
        if self._rest:
            data, self._rest = self._rest + data, b""
            if reference.holds(data, self._place):
                self._agree(self._place + len(data), now)
                return
        known = reference.end - self._place
        if 0 < known <= len(data) and reference.holds(memoryview(data)[:known], self._place):
            self._agree(reference.end, now)
            data = data[known:]
        elif self._place > self.needed:
            # Many messages begin alike: parse this one from its start.
            data = reference.slice(self.needed, self._place) + data
            self._place = self.needed
        at = 0
        while (end := wire.frame_end(data, at)) >= 0:
            self._frame(data[at:end], now)
            at = end
        rest = data[at:]
        if reference.holds(rest, self._place):
            self._place += len(rest)
        else:
            self._rest = rest

    def _frame(self, frame: bytes, now: float) -> None:
        """Process one complete frame. The reader is between two messages of the reference."""
        if self._index < self.reference.count and frame == self.reference.frame(self._index):
            self._agree(self._place + len(frame), now)
        elif frame[0] != wire.TEXT:
            self._on_control(frame[0], wire.payload_of(frame))
        else:
            payload = wire.payload_of(frame)
            event = read_event(payload)
            if event is None or event.snapshot:
                self._other(payload)
            else:
                self._event(event, frame, now)

    def _event(self, event: Event, frame: bytes, now: float) -> None:
        if not self.reference.covers(event.channel):
            raise MessageError(f"an event of {event.channel}, which it does not follow")
        index = self.reference.index_of(event)
        if index is None:
            index = self.reference.add(event, frame)
        else:
            self.altered += _is_altered(frame, self.reference.frame(index))
        if index is None:
            self._break()
            self.spans.append(Span(self._index, self._index, (event.channel, event.seq)))
            self.reference.deliveries += 1
            return
        if index != self._index:
            self._break()
            self._span_start = index
        self._index = index + 1
        self._place = self.reference.ends[self._index]
        self.reference.delivered(index, self._index, now)

    def _break(self) -> None:
        """End the current span."""
        if self._index > self._span_start:
            self.spans.append(Span(self._span_start, self._index))
        self._span_start = self._index

    def _other(self, payload: bytes) -> None:
        message = server_messages.read(payload)
        if isinstance(message, Missing):
            self._gap(message)
        elif message is not None:
            self._on_message(message)

    def _gap(self, gap: Missing) -> None:
        channel = Channel.parse(gap.channel)
        if channel is None or len(self.gaps) == MAX_GAPS:
            fault = "a gap of no channel" if channel is None else f"more than {MAX_GAPS:,} gaps"
            raise MessageError(fault)
        self.gaps.append((channel, gap.after, gap.before))


def _is_altered(frame: bytes, known: bytes) -> bool:
    """True if an event's message differs from the known one, unless that was dropped.

    In a replay, the `prev` of a market's first event may be null.
    """
    if known and _UNKNOWN_PREV in frame + known:
        frame, known = (_PREV.sub(b"", wire.payload_of(each)) for each in (frame, known))
    return bool(known) and frame != known
