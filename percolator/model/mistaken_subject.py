"""Subjects that no kind has, but that were meant to be a known kind's: `percolator.trades.SOL`."""

from percolator.errors import EventError
from percolator.model.channel import SLAB, SUBJECT_PREFIX, Channel
from percolator.model.kinds import KINDS
from percolator.printable import printable

REASON = "unknown_subject"
"""Not one of `events.REASONS`: such an event may be of a newer version, and is no fault."""

TOKEN_CHARS = 64

_MEANT = {
    spelling: kind for kind in KINDS for spelling in (kind.name, f"{kind.name}s", kind.prefix)
}
"""Each kind by its name, its plural and the prefix of its channels, in lower case."""


def explain(subject: str) -> EventError | None:
    """Return what to do instead, if a subject of no kind looks like a mistake; None if not.

    A kind is recognised by its plural or a channel's prefix, in any case, and after its market.
    """
    top, *parts = subject.split(".")
    if top != SUBJECT_PREFIX or not parts:
        return None
    named = parts[0]
    if named.lower() not in _MEANT and len(parts) == 2:  # noqa: PLR2004 - market and kind
        parts.reverse()
    kind = _MEANT.get(parts[0].lower())
    if kind is None:
        return None
    slab = ".".join(parts[1:])
    instead = Channel(kind, slab if SLAB.fullmatch(slab) else "MARKET").subject
    shown = printable(named, TOKEN_CHARS)
    return EventError(REASON, f"no kind is named {shown}: publish on {instead}")
