"""What NATS refuses: it does not answer such a request, but names its subject in an error.

So whatever waits for an answer is listed here under the subjects that it needs. It then fails with
what NATS said, at once, instead of with a timeout.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import nats.errors

_VIOLATION = re.compile(
    r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE
)


class RefusedError(nats.errors.Error):
    """NATS does not permit what was asked; the text is what it said, and what to do."""


class Refusals:
    """What waits for an answer on one connection."""

    def __init__(self, *, has_prefix: bool) -> None:
        """`has_prefix` is true if the user has set the prefixes that NATS gives it."""
        self._has_prefix = has_prefix
        self._waiting: WeakKeyDictionary[asyncio.Future[Any], tuple[str, ...]] = WeakKeyDictionary()
        self._inbox: tuple[str, RefusedError] | None = None
        """The inbox of all requests, if NATS has refused it; it says so only once."""

    def watch(self, future: asyncio.Future[Any], *subjects: str) -> None:
        """Fail a future with RefusedError once NATS refuses one of the subjects."""
        self._waiting[future] = subjects
        if self._inbox is not None and self._inbox[0] in subjects:
            self._fail(future, self._inbox[1])

    def is_refused(self, inbox: str) -> bool:
        """Return whether NATS has refused the inbox of all requests."""
        return self._inbox is not None and self._inbox[0] == inbox

    def note(self, said: str) -> bool:
        """Read what NATS said; return whether it made anything fail."""
        found = _VIOLATION.search(said)
        if found is None:
            return False
        is_inbox, subject = found[1].lower() == "subscription", found[2]
        error = RefusedError(f"{said} ({self._advice(is_inbox=is_inbox)})")
        if is_inbox and subject.endswith(".*"):
            self._inbox = subject, error
        failing = list(self._needing(subject))
        for future in failing:
            self._fail(future, error)
        return bool(failing)

    @staticmethod
    def _fail(future: asyncio.Future[Any], error: RefusedError) -> None:
        future.set_exception(error)
        future.exception()  # whatever waits may have stopped waiting, which is not worth a log line

    def _advice(self, *, is_inbox: bool) -> str:
        if self._has_prefix:
            return "allow it for this user"
        settings = "nats_prefix or nats_inbox_prefix" if is_inbox else "nats_prefix"
        return f"allow it for this user, or set {settings} to the name that NATS gives it"

    def _needing(self, subject: str) -> Iterator[asyncio.Future[Any]]:
        for future, subjects in self._waiting.items():
            if subject in subjects and not future.done():
                yield future
