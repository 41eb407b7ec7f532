"""The port that the feed writes to. It keeps this room apart from the hub: app/ joins the two."""

from collections.abc import Mapping
from typing import Protocol

from percolator.jetstream.direct import Stored


class Sink(Protocol):
    """Receives what the feed reads, in stream order."""

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Start after seq `after`. A new epoch makes everything received so far void."""

    def seed(self, stored: Stored) -> None:
        """Receive the newest valid event of a subject from before the start."""

    def take(self, stored: Stored) -> None:
        """Receive the next event."""

    def skip(self, seq: int) -> None:
        """Pass the seq of a message that no publisher sent."""

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """Seqs before `before` are missing; these subjects may have lost events.

        Wildcards are among them: all markets of a kind, in stream order.
        """

    @property
    def full(self) -> bool:
        """True while more events would be lost."""

    def last_seqs(self) -> Mapping[str, int]:
        """Newest seq received per subject that needs a gap for lost events; 0 if none is known."""
