"""Back-off: how long a client waits before its next attempt. No clock: the caller passes times."""

import random

FIRST_DELAY = 0.25
LONGEST_DELAY = 10.0
STABLE_SECONDS = 5.0
"""A connection that brought data and lasted this long has been worth it: the waits start over."""


class Backoff:
    """The waits between attempts, in seconds: random, up to a limit that doubles each time."""

    def __init__(self) -> None:
        self._failures = 0

    def delay(self, lasted: float, asked: float | None = None, *, data: bool) -> float:
        """Return the wait after a connection.

        It lasted `lasted` seconds, and `data` is whether anything came. `asked` is what a closing
        gateway asked for. Even so, there are at most four attempts per second.
        """
        self._failures = 0 if data and lasted >= STABLE_SECONDS else self._failures + 1
        if asked is not None:
            return max(asked, FIRST_DELAY - lasted)
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._failures, 10))
        return random.uniform(0, longest)  # noqa: S311 - jitter
