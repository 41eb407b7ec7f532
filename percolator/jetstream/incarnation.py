"""The stream's incarnation: is it still the stream that was read, or has another taken its place?

A stream that was deleted and recreated has a new creation time. A stream that was restored from a
backup, or lost its last unsynced events, keeps its creation time and goes back: its seqs then
belong to other events than before. In both cases the seqs of the old incarnation are void.
"""

from collections.abc import Callable

from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import direct_get
from percolator.jetstream.errors import StreamChangedError
from percolator.jetstream.stream import StreamState

GONE_BACK_SECONDS = 5.0
"""Seconds for a leader to catch up, if the stream has less than was already read."""


class StreamIncarnation:
    """What is known about the incarnation that is being read."""

    def __init__(self, stream: str, clock: Callable[[], float]) -> None:
        self.epoch = ""
        """Identifies the incarnation; empty before anything was read."""
        self.seq = 0
        """The last seq that was read."""
        self.created = ""
        """Identifies the creation of the stream."""
        self._time: int | None = None
        self._returns = 0
        self._back_since: float | None = None
        self._stream = stream
        self._clock = clock

    def begin(self, epoch: str, created: str, seq: int) -> None:
        """Start to read an incarnation after a seq; `created` identifies its creation."""
        self.epoch, self.created = epoch, created
        self.advance(seq, None)

    def advance(self, seq: int, time: int | None) -> None:
        """Record the last seq read, and when the stream stored it; None if it was no event."""
        self.seq, self._time = seq, time

    async def current_epoch(self, client: NatsClient, state: StreamState) -> str:
        """Return the epoch that the stream is in now.

        Raises StreamChangedError if that is not known yet, and NatsUnreachableError.
        """
        if state.epoch != self.created:
            return state.epoch
        if state.last_seq < self.seq:
            self._wait_for(state)
        elif await self._is_the_same(client, state):
            self._back_since = None
            return self.epoch
        self._returns += 1
        return f"{state.epoch}.{self._returns}.{state.last_seq:x}"

    def _wait_for(self, state: StreamState) -> None:
        if self._back_since is None:
            self._back_since = self._clock()
        if self._clock() - self._back_since < GONE_BACK_SECONDS:
            raise StreamChangedError(
                f"the stream has gone back from seq {self.seq} to {state.last_seq}"
            )

    async def _is_the_same(self, client: NatsClient, state: StreamState) -> bool:
        """Return whether the last event read is still the same event, if the stream holds it."""
        if self._time is None or self.seq < state.first_seq:
            return True
        found, _ = await direct_get(client, self._stream, {"seq": self.seq, "batch": 1})
        return not found or found[0].seq != self.seq or found[0].time == self._time
