"""The life of a stream: is it still the one that was read, or has another taken its place?

A stream that is deleted and made again has another creation time. One that was restored from a
backup, or lost what it had not yet written, keeps it and goes back: then its seqs name other events
than before. Either way the seqs of the old life mean nothing to the new one.
"""

from collections.abc import Callable

from nats.aio.client import Client

from percolator.jetstream.consumer import ConsumerError
from percolator.jetstream.direct import direct_get
from percolator.jetstream.stream import StreamState

GONE_BACK_SECONDS = 5.0
"""A stream that has less than was read of it may be a leader that is catching up, for so long."""


class StreamIncarnation:
    """What is known of the life of the stream that is being read."""

    def __init__(self, stream: str, clock: Callable[[], float]) -> None:
        self.epoch = ""
        """Its name; empty before anything was read."""
        self.seq = 0
        """The last seq that was read."""
        self.created = ""
        """Names its creation."""
        self._time: int | None = None
        self._returns = 0
        self._back_since: float | None = None
        self._stream = stream
        self._clock = clock

    def begin(self, epoch: str, created: str, seq: int) -> None:
        """Start to read a life after a seq; `created` names its creation."""
        self.epoch, self.created = epoch, created
        self.advance(seq, None)

    def advance(self, seq: int, time: int | None) -> None:
        """Note what was read last, and when the stream took it; None where that was no event."""
        self.seq, self._time = seq, time

    async def current_epoch(self, client: Client, state: StreamState) -> str:
        """Name the life that the stream is in now.

        Raises ConsumerError where that cannot be said yet, and NatsUnreachableError.
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
            raise ConsumerError(f"the stream has gone back from seq {self.seq} to {state.last_seq}")

    async def _is_the_same(self, client: Client, state: StreamState) -> bool:
        """Tell whether the event that was read last is still that event, if it is there."""
        if self._time is None or self.seq < state.first_seq:
            return True
        found = await direct_get(client, self._stream, {"seq": self.seq, "batch": 1})
        return not found or found[0].seq != self.seq or found[0].time == self._time
