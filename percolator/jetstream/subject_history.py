"""History: one subject of a stream, read from any place in it, without a consumer.

JetStream reads forward only. But each answer says how many further messages match, so a place that
has a number of them between it and another one is found by asking for single messages.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Batch, Stored, ask_leader, direct_get
from percolator.jetstream.last_per_subject import newest
from percolator.jetstream.liveness import raise_if_cancelled

PAGE = 256
"""Messages per request: about a millisecond of parsing per turn of the loop."""
MAX_STEPS = 96
"""Questions that look for one place: every second one halves what is left of the stream."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 9_223_372_036_000
"""A time in the year 2262: nanoseconds of a later one do not fit into the server's 64 bits."""


class SubjectHistory:
    """The messages of one subject. Every method raises NatsUnreachableError."""

    def __init__(self, client: NatsClient, stream: str, subject: str) -> None:
        self._client = client
        self._stream = stream
        self._subject = subject

    async def at(self, seq: int, limit: int = PAGE) -> Batch:
        """Return the first messages at a seq or later."""
        return await self._get({"seq": max(seq, 1)}, limit)

    async def since(self, time_ms: int, limit: int = PAGE) -> Batch:
        """Return the first messages that were stored at a time or later, in Unix milliseconds."""
        time = EPOCH + timedelta(milliseconds=min(time_ms, LATEST_MS))
        return await self._get({"start_time": time.isoformat().replace("+00:00", "Z")}, limit)

    async def newest(self) -> Stored | None:
        """Return the newest message, as the stream's leader has it."""
        return await self._ask({"last_by_subj": self._subject})

    async def newest_before(self, seq: int) -> Stored | None:
        """Return the newest message before a seq."""
        return await newest(self._client, self._stream, self._subject, seq - 1)

    async def next_after(self, seq: int) -> Stored | None:
        """Return the first message after a seq, as the stream's leader has it."""
        return await self._ask({"seq": seq + 1, "next_by_subj": self._subject})

    async def place_before(self, before: int, wanted: int) -> int:
        """Return a seq from which on `wanted` messages come before `before`, or a few more.

        The first message's seq if there are not as many; `before` if there is none.
        """
        later = await self._count(before)
        first = await self.at(1, 1)
        if not first.events or first.events[0].seq >= before:
            return before
        low, have = first.events[0].seq, 1 + first.more - later
        high, lacking = before, 0
        for step in range(MAX_STEPS):
            if have <= wanted + PAGE or high - low <= 1:
                break
            raise_if_cancelled()
            share = (wanted + PAGE // 2 - lacking) / (have - lacking) if step % 2 == 0 else 0.5
            middle = min(max(high - int((high - low) * share), low + 1), high - 1)
            count = await self._count(middle) - later
            if count >= wanted:
                low, have = middle, count
            else:
                high, lacking = middle, count
        return low

    async def place_where(self, low: int, high: int, holds: Callable[[Stored], bool]) -> int:
        """Return a seq at which, or after which, is the first message for which something holds.

        It does not hold at `low` or before, and does at `high` and after.
        """
        while high - low > 1:
            raise_if_cancelled()
            middle = (low + high) // 2
            found = (await self.at(middle, 1)).events
            if not found or holds(found[0]):
                high = middle
            else:
                low = found[0].seq
        return high

    async def _count(self, seq: int) -> int:
        """Return how many messages there are at a seq or later."""
        events, more = await self.at(seq, 1)
        return len(events) + more

    async def _get(self, place: dict[str, object], limit: int) -> Batch:
        request = {**place, "next_by_subj": self._subject, "batch": limit}
        return await direct_get(self._client, self._stream, request)

    async def _ask(self, request: dict[str, object]) -> Stored | None:
        return await ask_leader(self._client, self._stream, request)
