"""Channels: the events of one kind of one market, as clients and NATS name them."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

from percolator.errors import EventError
from percolator.model.kinds import KIND_OF_NAME, KIND_OF_PREFIX, KINDS, Kind

SLAB = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a market's name may be."""
SLAB_RULE = "letters, digits, _ and -, up to 64"
ALL = "*"
"""The market of a wildcard channel, `trades:*`: every market, also those to come."""

SUBJECT_PREFIX = "percolator"
SUBJECTS = {kind: f"{SUBJECT_PREFIX}.{kind}.>" for kind in KINDS}
"""What the stream takes of each kind.

`>` and not `*`, so that an event on a malformed subject is stored and reported.
"""
REJECTED_SUBJECT = f"{SUBJECT_PREFIX}.rejected"

_EXAMPLES = [f"{kind.prefix}:SOL" for kind in KINDS]
CHANNEL_EXAMPLES = f"{', '.join(_EXAMPLES[:-1])} or {_EXAMPLES[-1]}"
"""A channel of each kind, for people."""


class Channel(NamedTuple):
    """The events of one kind of one market, or of all markets: then it is a wildcard."""

    kind: Kind
    slab: str

    @property
    def is_wildcard(self) -> bool:
        """True if it is of all markets: `trades:*`."""
        return self.slab == ALL

    @property
    def wildcard(self) -> "Channel":
        """The channel of its kind that is of all markets."""
        return Channel(self.kind, ALL)

    @property
    def name(self) -> str:
        """Its name for clients: `trades:SOL`."""
        return f"{self.kind.prefix}:{self.slab}"

    @property
    def subject(self) -> str:
        """Its NATS subject: `percolator.trade.SOL`; of a wildcard, what matches all of them."""
        return f"{SUBJECT_PREFIX}.{self.kind}.{self.slab}"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a channel's name; None if it is not one.

        Not cached, as subjects are: clients may send any number of different strings.
        """
        prefix, _, slab = text.partition(":")
        kind = KIND_OF_PREFIX.get(prefix)
        return cls(kind, slab) if kind and (slab == ALL or SLAB.fullmatch(slab)) else None

    @staticmethod
    @lru_cache(maxsize=16_384)
    def of_subject(subject: str) -> "Channel | None":
        """Read a subject; None if it is of a kind that this version does not know.

        Raises EventError, reason `invalid_subject`, if the kind is known and the rest is malformed.
        """
        prefix, _, rest = subject.partition(".")
        name, _, slab = rest.partition(".")
        kind = KIND_OF_NAME.get(name)
        if prefix != SUBJECT_PREFIX or kind is None:
            return None
        if not SLAB.fullmatch(slab):
            raise EventError(
                "invalid_subject",
                f"{subject[:64]!r} does not end in a market's name ({SLAB_RULE}): "
                f"publish on {Channel(kind, 'MARKET').subject}",
            )
        return Channel(kind, slab)
