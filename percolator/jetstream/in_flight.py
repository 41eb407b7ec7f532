"""The events that a publisher has sent and not settled, and those that wait: in order.

What is sent next, and what is sent again, is decided here and nowhere else.
"""

import asyncio
import time
from collections import deque

MAX_IN_FLIGHT = 512
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Outgoing:
    """An event to be stored, and when it was first sent."""

    __slots__ = ("_start", "_turn", "headers", "is_over", "payload", "subject")

    def __init__(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = headers
        self.is_over = False
        """True if it is settled, or is cancelled."""
        self._start = 0.0
        self._turn: asyncio.Event | None = None

    def start(self) -> None:
        """It is sent for the first time."""
        self._start = _now()

    def age(self) -> float:
        """Return the seconds since it was first sent."""
        return _now() - self._start

    async def wait_for_turn(self) -> None:
        """Wait until it may be sent, or sent again."""
        self._turn = asyncio.Event()
        await self._turn.wait()

    def turn(self) -> None:
        """End its wait: it may be sent, or sent again."""
        if self._turn is not None:
            self._turn.set()


class InFlight:
    """Up to MAX_IN_FLIGHT events at once, admitted in the order of the calls.

    If some of them fail, the oldest is tried again until it is settled, then the others, in order.
    Meanwhile, no later one is admitted.
    """

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self._admitted: dict[Outgoing, None] = {}
        self._failing = False

    async def enter(self, event: Outgoing) -> None:
        """Wait until the event may be sent for the first time. Call `leave` in any case."""
        if self._waiting or self._is_full:
            self._waiting.append(event)
            await event.wait_for_turn()
        else:
            self._admitted[event] = None
        event.start()

    def leave(self, event: Outgoing) -> None:
        """Remove an event, and admit the next ones."""
        event.is_over = True
        self._admitted.pop(event, None)
        if not self._admitted:
            self._failing = False
        elif self._failing:
            next(iter(self._admitted)).turn()
        while self._waiting and not self._is_full:
            following = self._waiting.popleft()
            if not following.is_over:  # cancelled
                self._admitted[following] = None
                following.turn()

    def fail(self) -> None:
        """Admit no event until all that were sent are settled: one of them has failed."""
        self._failing = True

    def recover(self) -> None:
        """Allow all events to be tried again: one that had failed is stored."""
        for event in self._admitted:
            event.turn()

    def is_oldest(self, event: Outgoing) -> bool:
        """Return whether all events that were sent before it are settled."""
        return next(iter(self._admitted)) is event

    @property
    def _is_full(self) -> bool:
        return self._failing or len(self._admitted) >= MAX_IN_FLIGHT


def _now() -> float:
    """Return the seconds of a clock that also runs while the machine sleeps, if there is one."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
