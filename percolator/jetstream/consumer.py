"""One ordered push consumer, for as long as it can be trusted.

With no acks and in the server's memory, watched by ourselves: its own sequence says when a message
is missing, its heartbeats say when it is gone. What is to be done then, the feed knows.

Flow control is answered after the events before it have been handed on: so a slow gateway slows
the server down, and the client library's queue does not overflow.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from percolator.jetstream.liveness import raise_if_cancelled

HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS = 1.5
"""No event and no heartbeat for so long: the consumer is gone."""
INACTIVE_SECONDS = 30
"""After so long without us, the server forgets it."""
DELETE_SECONDS = 0.5
YIELD_EVERY = 64
"""The library hands on a queue of messages in one go; so often, everybody else gets a turn."""
HOLD_SECONDS = 0.001
"""While events are not wanted, so often it is asked again."""
PENDING_MESSAGES = 512 * 1024
PENDING_BYTES = 256 * 1024 * 1024
EVENT = "$JS.ACK."
"""What the reply subject of an event starts with: whatever headers its publisher gave it."""


class ConsumerError(Exception):
    """The consumer cannot be trusted any more; the text says why."""


class SequenceGapError(ConsumerError):
    """It has passed over seqs that the stream does not hold any more."""


class Delivery(NamedTuple):
    """One event; `time` is when the stream took it, in nanoseconds since 1970."""

    seq: int
    subject: str
    payload: bytes
    time: int


class Consumer:
    """Reads on after a seq, each event once and in order, until there is trouble."""

    def __init__(
        self,
        client: Client,
        stream: str,
        *,
        clock: Callable[[], float],
        take: Callable[[Delivery], None],
        paused: Callable[[], bool],
    ) -> None:
        """While it is `paused`, the next event waits."""
        self.heard = clock()
        """When it last showed a sign of life."""
        self._client = client
        self._stream = stream
        self._clock = clock
        self._take = take
        self._paused = paused
        self._seq = 0
        self._count = 0
        self._pending = 0
        self._subscription: Subscription | None = None
        self._broken: asyncio.Future[ConsumerError] = asyncio.get_running_loop().create_future()

    @property
    def lag(self) -> int:
        """How many events the stream has that were not handed on yet, as far as is known here."""
        waiting = self._subscription.pending_msgs if self._subscription else 0
        # What waits was pending when the last event was sent, or has come into the stream since.
        return max(self._pending, waiting)

    def fail(self, trouble: ConsumerError) -> None:
        """Hand on nothing more; `run` ends with this."""
        if not self._broken.done():
            self._broken.set_result(trouble)

    async def run(self, after: int, opened: Callable[[], None], *, within: float) -> None:
        """Read until it fails: raises ConsumerError, or what NATS answered to the request.

        `opened` is called when the consumer is there; the server has `within` seconds to set it up.
        """
        self._seq = after
        name = ""
        inbox = self._client.new_inbox()
        subscription = self._subscription = await self._client.subscribe(
            inbox,
            cb=self._on_message,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        try:
            info = await self._client.jetstream(timeout=within).add_consumer(
                self._stream, _definition(inbox, after)
            )
            name = info.name or ""
            self.heard = self._clock()
            self._pending = info.num_pending or 0
            opened()
            raise await self._trouble()
        finally:
            self.fail(ConsumerError("given up"))
            with contextlib.suppress(Exception):  # the server forgets it in time by itself
                await subscription.unsubscribe()
                if name and self._client.is_connected and not self._silent():
                    context = self._client.jetstream(timeout=DELETE_SECONDS)
                    await context.delete_consumer(self._stream, name)

    async def _trouble(self) -> ConsumerError:
        while True:
            raise_if_cancelled()
            done, _ = await asyncio.wait([self._broken], timeout=SILENCE_SECONDS / 5)
            if done:
                return self._broken.result()
            if self._silent():
                return ConsumerError("the stream's consumer has fallen silent")

    def _silent(self) -> bool:
        return self._clock() - self.heard > SILENCE_SECONDS

    async def _on_message(self, message: Msg) -> None:
        if self._broken.done():
            return
        self.heard = self._clock()
        if message.reply.startswith(EVENT):
            self._on_event(message)
            if self._count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            while self._paused() and not self._broken.done():
                await asyncio.sleep(HOLD_SECONDS)
                self.heard = self._clock()
        else:
            await self._on_control(message)

    def _on_event(self, message: Msg) -> None:
        """Hand on one event in its turn."""
        fields = message.reply.split(".")
        # $JS.ACK.stream.consumer.tries.seq.count.time.pending, or with domain and account hash
        at = 5 if len(fields) == 9 else 7  # noqa: PLR2004
        seq, count, time, pending = (int(field) for field in fields[at : at + 4])
        if count != self._count + 1:
            self.fail(self._missing())
        elif seq != self._seq + 1:
            self.fail(
                SequenceGapError(
                    f"the stream has nothing between seq {self._seq} and {seq} any more"
                )
            )
        else:
            self._count, self._seq, self._pending = count, seq, pending
            self._take(Delivery(seq, message.subject, message.data, time))

    async def _on_control(self, message: Msg) -> None:
        """Answer flow control, and check what a heartbeat says against what has come."""
        if message.reply:
            await message.respond(b"")
            return
        headers = message.headers or {}
        if stalled := headers.get("Nats-Consumer-Stalled"):
            await self._client.publish(stalled)
        if int(headers.get("Nats-Last-Consumer", self._count)) > self._count:
            self.fail(self._missing())
        elif int(headers.get("Nats-Last-Stream", self._seq)) > self._seq:
            self.fail(SequenceGapError(f"the stream has nothing after seq {self._seq} any more"))

    def _missing(self) -> ConsumerError:
        return ConsumerError(f"message {self._count + 1} of the consumer is missing")


def _definition(inbox: str, after: int) -> ConsumerConfig:
    return ConsumerConfig(
        description="percolator gateway feed",
        deliver_subject=inbox,
        # By a seq, always: what is told relative to now begins elsewhere after each restart.
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        max_deliver=1,
        flow_control=True,
        idle_heartbeat=HEARTBEAT_SECONDS,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=INACTIVE_SECONDS,
    )
