"""The intake: between the feed and the book. Decodes each event once, and reports invalid ones.

It knows neither sockets nor NATS: a rejection is handed to `report`.
"""

import logging
from typing import Protocol

from percolator.errors import EventError
from percolator.fanout import price_jump
from percolator.fanout.book import Book
from percolator.fanout.price_fold import Remark
from percolator.jetstream.direct import Stored
from percolator.model import events, mistaken_subject
from percolator.model.channel import ALL, Channel
from percolator.model.events import Decode
from percolator.model.kinds import KINDS, Event, Price
from percolator.stats import Stats

WILDCARDS = {wildcard.subject: wildcard for wildcard in (Channel(kind, ALL) for kind in KINDS)}
"""The wildcard of each kind, by its subject; only a gap is of one, never an event."""
SHOWN = 64
"""Bytes of a rejected payload that the log shows."""

JUMP_LOG_MS = 60_000
"""How often the log mentions the jumps of one market, by the time of the stream."""
MAX_JUMPED = 1_000
"""Markets for which that is remembered."""

logger = logging.getLogger(__name__)


class Report(Protocol):
    """Receives each event in which something is wrong, and what."""

    def __call__(self, stored: Stored, error: EventError, *, accepted: bool = False) -> None:
        """Report an event: one that is not valid, or one that is `accepted` all the same."""


class Intake:
    """Decodes what the feed reads, and passes what is valid on to the book."""

    def __init__(
        self,
        book: Book,
        stats: Stats,
        report: Report,
        decode: Decode = events.decode,
    ) -> None:
        """`report` is called with each event that is not valid, and why it is not."""
        self._book = book
        self._stats = stats
        self._report = report
        self._decode = decode
        self._jumped: dict[Channel, int] = {}
        """When a jump of a channel's price was last logged."""

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start reading a stream (see `Book.begin`)."""
        self._book.begin(epoch, after, first_seq=first_seq, complete=complete)

    def seed(self, stored: Stored) -> None:
        """Record a subject's state from before the point where reading starts."""
        channel = _channel_of(stored.subject)
        if channel is None:
            return
        try:
            event = self._decode(channel, stored.payload, stored.ms)
        except EventError:
            return  # reported when it was first read
        self._book.seed(stored.seq, channel, event, stored.ms)

    def take(self, stored: Stored) -> None:
        """Decode the next event and pass it on; count, log and report it if it is not valid.

        An event of a kind that this version does not know is counted, and is no fault; but if its
        subject looks like a mistake, it is reported.
        """
        try:
            channel = Channel.of_subject(stored.subject)
            event = self._decode(channel, stored.payload, stored.ms) if channel else None
        except EventError as error:
            self._book.skip(stored.seq)
            self._reject(stored, error)
            return
        if channel is None or event is None:
            self._stats.unknown_subjects += 1
            self._book.skip(stored.seq)
            if mistake := mistaken_subject.explain(stored.subject):
                self._explain(stored, mistake)
        else:
            remark = self._book.publish(stored.seq, channel, event, stored.time // 1_000_000)
            if remark is None or remark.reason == "outdated":
                self._stats.events[event.type] += 1
            if remark is not None:
                self._note(stored, channel, event, remark)

    def _note(self, stored: Stored, channel: Channel, event: Event, remark: Remark) -> None:
        """Count a price that is outdated, or far from the last one; report that, or reject it."""
        assert isinstance(event, Price)
        if remark.reason == "outdated":
            self._stats.outdated += 1
            return
        self._stats.price_jumps += 1
        error = EventError("price_jump", price_jump.describe(remark.last, event.price))
        if remark.left_out:
            self._reject(stored, error)
            return
        self._stats.events[event.type] += 1
        self._report(stored, error, accepted=True)
        if stored.ms - self._jumped.get(channel, 0) > JUMP_LOG_MS:
            if len(self._jumped) == MAX_JUMPED:
                self._jumped.clear()
            self._jumped[channel] = stored.ms
            logger.warning("event %d on %s accepted: %s", stored.seq, stored.subject, error)

    def skip(self, seq: int) -> None:
        """Pass the seq of a message that no publisher sent."""
        self._book.skip(seq)

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Note that the stream has lost events before seq `before`, maybe of these subjects."""
        found = (WILDCARDS.get(subject) or _channel_of(subject) for subject in subjects)
        channels = set(filter(None, found))
        self._book.record_gap(before, channels)

    @property
    def full(self) -> bool:
        """True while the book should get no more events."""
        return self._book.full

    def last_seqs(self) -> dict[str, int]:
        """Return the newest seq of each subject whose losses must be announced; 0 if not known."""
        return {channel.subject: seq for channel, seq in self._book.last_seqs().items()}

    def _reject(self, stored: Stored, error: EventError) -> None:
        self._stats.rejected[error.reason] += 1
        self._explain(stored, error)

    def _explain(self, stored: Stored, error: EventError) -> None:
        self._report(stored, error)
        text = "event %d on %.80s rejected: %s; it starts %r"
        logger.warning(text, stored.seq, stored.subject, error, stored.payload[:SHOWN])


def _channel_of(subject: str) -> Channel | None:
    try:
        return Channel.of_subject(subject)
    except EventError:
        return None
