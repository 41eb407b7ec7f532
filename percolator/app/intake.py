"""The intake: between the feed and the hub. Decodes each event once, and reports what is none.

Knows neither sockets nor NATS: a rejection is handed to `report`, whoever that is.
"""

import logging
from collections.abc import Callable

from percolator.errors import EventError
from percolator.fanout.hub import Hub
from percolator.model.events import Kind, decode, parse_subject, subject_of
from percolator.ratelimit import TokenBucket
from percolator.stats import Stats

LOGS_PER_SECOND = 1.0
LOG_BURST = 10
SHOWN = 64

logger = logging.getLogger(__name__)


class Intake:
    """Takes what the feed reads; gives the hub what is valid."""

    def __init__(
        self,
        hub: Hub,
        stats: Stats,
        clock: Callable[[], float],
        report: Callable[[int, str, str], None],
    ) -> None:
        """`report` is called with seq, subject and reason of each event that does not validate."""
        self._hub = hub
        self._stats = stats
        self._clock = clock
        self._report = report
        self._logs = TokenBucket(LOGS_PER_SECOND, LOG_BURST, clock())

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Pass it on."""
        self._hub.begin(epoch, after, first_seq=first_seq, complete=complete)

    def seed(self, seq: int, subject: str, payload: bytes) -> None:
        """Pass on a valid head; an invalid one was reported when it was read first."""
        try:
            event = decode(subject, payload)
        except EventError:
            return
        self._hub.seed(seq, event.type, event.slab, event)

    def take(self, seq: int, subject: str, payload: bytes) -> None:
        """Decode one event and pass it on, or count, log and report why not."""
        try:
            event = decode(subject, payload)
        except EventError as error:
            self._hub.skip(seq)
            self._reject(seq, subject, payload, error)
        else:
            self._stats.events[event.type] += 1
            self._hub.publish(seq, event.type, event.slab, event)

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Pass it on, with the channels of those subjects that are any."""
        self._hub.record_gap(before, {named for subject in subjects if (named := _named(subject))})

    @property
    def full(self) -> bool:
        """True while the hub would rather have no more."""
        return self._hub.full

    def last_seqs(self) -> dict[str, int]:
        """Give the newest event of each channel that must not lose any unsaid, by subject."""
        return {subject_of(*named): seq for named, seq in self._hub.last_seqs().items()}

    def _reject(self, seq: int, subject: str, payload: bytes, error: EventError) -> None:
        self._stats.rejected[error.reason] += 1
        self._report(seq, subject, error.reason)
        if self._logs.take(self._clock()):
            shown = payload[:SHOWN]
            text = "event %d on %.80s rejected: %s; it starts %r"
            logger.warning(text, seq, subject, error, shown)


def _named(subject: str) -> tuple[Kind, str] | None:
    try:
        return parse_subject(subject)
    except EventError:
        return None
