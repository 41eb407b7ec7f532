"""Times of events: which ones are plausible, and which unit an implausible one seems to have.

An event is judged by the time at which JetStream stored it, never by a clock, so that every replay
decides the same.
"""

EARLIEST_MS = 946_684_800_000
"""The year 2000 in Unix milliseconds: no event is older."""
MAX_AHEAD_MS = 60_000
"""How much later than its storing an event may claim to be: clocks differ a little."""

MAX_PLAN_MS = 366 * 86_400_000
"""How much later than its storing an event may plan something, such as the next funding."""

_UNITS = {
    "seconds": (1_000, 1),
    "microseconds": (1, 1_000),
    "nanoseconds": (1, 1_000_000),
}
"""The units that are mistaken for milliseconds, each with what it is multiplied and divided by."""


def looks_like(time: float, stored_ms: int, ahead_ms: int = MAX_AHEAD_MS) -> str | None:
    """Return the unit in which a time would be plausible, such as seconds; None if in no other."""
    latest = stored_ms + ahead_ms
    for unit, (factor, divisor) in _UNITS.items():
        if EARLIEST_MS * divisor <= time * factor <= latest * divisor:
            return unit
    return None


def time_fault(
    timestamp: int, stored_ms: int, name: str = "timestamp", ahead_ms: int = MAX_AHEAD_MS
) -> str:
    """Describe what is wrong with a time of an event that was stored at `stored_ms`.

    `ahead_ms` is how much later it may be.
    """
    if (unit := looks_like(timestamp, stored_ms, ahead_ms)) is not None:
        return f"{name} must be in Unix milliseconds: {timestamp} looks like {unit}"
    if timestamp < EARLIEST_MS:
        return f"{name} must be in Unix milliseconds: {timestamp} is before the year 2000"
    ahead = f"{timestamp} is {(timestamp - stored_ms) // 1_000:,} s ahead of the clock"
    return f"{name} must be at most {ahead_ms // 1_000:,} s in the future: {ahead}"
