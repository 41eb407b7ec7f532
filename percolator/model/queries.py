"""Queries: what a client may ask of a market's history over HTTP, read from a URL's parameters.

No state, no I/O, no clock. A query that is refused says in one sentence what to change.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from percolator.errors import RequestError
from percolator.model.kinds import MAX_TIMESTAMP
from percolator.printable import printable

MAX_ROWS = 1_000
DEFAULT_ROWS = 500
MINUTE_MS = 60_000
INTERVALS = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1_440 * MINUTE_MS,
}
"""The intervals of candles, each in milliseconds; each divides a day."""
TOKEN = "token"  # noqa: S105 - the name of the parameter
"""Any query may carry a token; it is read elsewhere."""

_NUMBER = re.compile(r"[0-9]{1,16}")
_EPOCH = re.compile(r"[0-9a-f.]{1,64}")
_SHOWN = 40
"""Characters of a wrong value that an answer repeats."""

Parameters = Iterable[tuple[str, str]]
"""Names and values, decoded, in the order of the URL."""


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """Which events of a channel; at most one of `before`, `after` and `since` is set.

    If none is, the newest are meant.
    """

    before: int | None = None
    """The newest events before this seq."""
    after: int | None = None
    """The oldest events after this seq."""
    since: int | None = None
    """The oldest events that were stored at this time or later, in Unix milliseconds."""
    limit: int = DEFAULT_ROWS
    epoch: str | None = None
    """The epoch that a seq belongs to."""


@dataclass(frozen=True, slots=True)
class CandlesQuery:
    """Which candles of a market: those that start at `start` or later, and before `end`.

    With a start, the oldest of them are meant, else the newest.
    """

    interval: str = "1m"
    start: int | None = None
    end: int | None = None
    limit: int = DEFAULT_ROWS


def events_query(parameters: Parameters) -> EventsQuery:
    """Read a query for events. Raises RequestError."""
    given = _given(parameters, ("before", "after", "from", "limit", "epoch"))
    places = [name for name in ("before", "after", "from") if name in given]
    if len(places) > 1:
        raise _refused(f"Use only one of before, after and from, not {' and '.join(places)}.")
    epoch = given.get("epoch")
    if epoch is not None and not _EPOCH.fullmatch(epoch):
        raise _refused(f"epoch must be one that a gateway has named, got {_shown(epoch)}.")
    return EventsQuery(
        before=_number(given, "before", "a seq"),
        after=_number(given, "after", "a seq"),
        since=_number(given, "from", "a time in Unix milliseconds"),
        limit=_limit(given),
        epoch=epoch,
    )


def candles_query(parameters: Parameters) -> CandlesQuery:
    """Read a query for candles. Raises RequestError."""
    given = _given(parameters, ("interval", "from", "to", "limit"))
    interval = given.get("interval", "1m")
    if interval not in INTERVALS:
        raise _refused(f"interval must be {_listed([*INTERVALS])}, got {_shown(interval)}.")
    start = _number(given, "from", "a time in Unix milliseconds")
    end = _number(given, "to", "a time in Unix milliseconds")
    if start is not None and end is not None and start > end:
        raise _refused(f"from must not be later than to, got {start} and {end}.")
    return CandlesQuery(interval, start, end, _limit(given))


def _given(parameters: Parameters, known: Sequence[str]) -> dict[str, str]:
    """Return the parameters by name, without the token."""
    given: dict[str, str] = {}
    for name, value in parameters:
        if name == TOKEN:
            continue
        if name not in known:
            names = _listed(known, "and")
            raise _refused(f"There is no parameter {_shown(name)} here; there are {names}.")
        if name in given:
            raise _refused(f"{name} must be given once, not several times.")
        given[name] = value
    return given


def _number(given: Mapping[str, str], name: str, meaning: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value) or int(value) > MAX_TIMESTAMP:
        rule = f"a whole number from 0 to {MAX_TIMESTAMP}"
        raise _refused(f"{name} must be {meaning}, {rule}, got {_shown(value)}.")
    return int(value)


def _limit(given: Mapping[str, str]) -> int:
    value = given.get("limit", str(DEFAULT_ROWS))
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= MAX_ROWS:
        rule = f"a whole number from 1 to {MAX_ROWS}"
        raise _refused(f"limit must be {rule}, got {_shown(value)}.")
    return int(value)


def _listed(words: Sequence[str], conjunction: str = "or") -> str:
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def _shown(value: str) -> str:
    return f'"{printable(value, _SHOWN)}"'


def _refused(text: str) -> RequestError:
    return RequestError("invalid_message", text)
