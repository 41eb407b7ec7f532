"""The intake: between the feed and the book. Decodes each event once, and reports invalid ones.

It knows neither sockets nor NATS: a rejection is handed to `report`.
"""

import logging
from collections.abc import Callable

from percolator.errors import EventError
from percolator.fanout.book import Book
from percolator.model import events
from percolator.model.channel import ALL, Channel
from percolator.model.events import Decode
from percolator.model.kinds import KINDS
from percolator.stats import Stats

WILDCARDS = {wildcard.subject: wildcard for wildcard in (Channel(kind, ALL) for kind in KINDS)}
"""The wildcard of each kind, by its subject; only a gap is of one, never an event."""
SHOWN = 64
"""Bytes of a rejected payload that the log shows."""

logger = logging.getLogger(__name__)


class Intake:
    """Decodes what the feed reads, and passes what is valid on to the book."""

    def __init__(
        self,
        book: Book,
        stats: Stats,
        report: Callable[[int, str, str], None],
        decode: Decode = events.decode,
    ) -> None:
        """`report` is called with seq, subject and reason of each event that is not valid."""
        self._book = book
        self._stats = stats
        self._report = report
        self._decode = decode

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start reading a stream (see `Book.begin`)."""
        self._book.begin(epoch, after, first_seq=first_seq, complete=complete)

    def seed(self, seq: int, subject: str, payload: bytes) -> None:
        """Record the newest valid event of a subject from before the point where reading starts."""
        channel = _channel_of(subject)
        if channel is None:
            return
        try:
            event = self._decode(channel, payload)
        except EventError:
            return  # reported when it was first read
        self._book.seed(seq, channel, event)

    def take(self, seq: int, subject: str, payload: bytes) -> None:
        """Decode the next event and pass it on; count, log and report it if it is not valid.

        An event of a kind that this version does not know is counted, and is no fault.
        """
        try:
            channel = Channel.of_subject(subject)
            event = self._decode(channel, payload) if channel else None
        except EventError as error:
            self._book.skip(seq)
            self._reject(seq, subject, payload, error)
            return
        if channel is None or event is None:
            self._stats.unknown_subjects += 1
            self._book.skip(seq)
        else:
            self._stats.events[event.type] += 1
            self._book.publish(seq, channel, event)

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

    def _reject(self, seq: int, subject: str, payload: bytes, error: EventError) -> None:
        self._stats.rejected[error.reason] += 1
        self._report(seq, subject, error.reason)
        text = "event %d on %.80s rejected: %s; it starts %r"
        logger.warning(text, seq, subject, error, payload[:SHOWN])


def _channel_of(subject: str) -> Channel | None:
    try:
        return Channel.of_subject(subject)
    except EventError:
        return None
