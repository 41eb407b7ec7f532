"""One ordered push consumer, for as long as it can be trusted.

It has no acks and lives in the server's memory. We watch it ourselves: its own sequence shows when
a message is missing, its heartbeats show when it is gone. The feed decides what to do then.

Flow control is answered only after the events before it have been passed on. So a slow gateway
slows the server down, and the client library's queue does not overflow.
"""

import asyncio
import contextlib
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from percolator.jetstream.client import NatsClient
from percolator.jetstream.creation import DESCRIPTION, create
from percolator.jetstream.direct import Stored
from percolator.jetstream.errors import ConsumerError, SequenceGapError
from percolator.jetstream.liveness import raise_if_cancelled

HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS = 1.5
"""Seconds without an event or a heartbeat after which the consumer counts as gone."""
INACTIVE_SECONDS = 30
"""Seconds without us after which the server deletes the consumer."""
DELETE_SECONDS = 0.5
YIELD_EVERY = 64
"""Events between two yields: the library delivers a whole queue without giving others a turn."""
POLL_SECONDS = 0.001
"""Seconds between two checks for whether a paused feed may continue."""
PENDING_MESSAGES = 512 * 1024
PENDING_BYTES = 256 * 1024 * 1024
EVENT = "$JS.ACK."
"""Prefix of an event's reply subject. It identifies events, whatever headers they have."""


class Consumer:
    """Reads the events after a seq, each once and in order, until it fails."""

    def __init__(
        self,
        client: NatsClient,
        stream: str,
        *,
        clock: Callable[[], float],
        on_event: Callable[[Stored], None],
        paused: Callable[[], bool],
    ) -> None:
        """`on_event` gets each event; while `paused` returns True, the next event waits."""
        self.heard = clock()
        """Time of its last sign of life, on the clock."""
        self._client = client
        self._stream = stream
        self._clock = clock
        self._handler = on_event
        self._paused = paused
        self._seq = 0
        self._count = 0
        self._pending = 0
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._broken: asyncio.Future[ConsumerError] = asyncio.get_running_loop().create_future()

    @property
    def lag(self) -> int:
        """Events known to be in the stream that were not passed on yet."""
        waiting = self._subscription.pending_msgs if self._subscription else 0
        # Queued events were pending when the last event was sent, or came into the stream since.
        return max(self._pending, waiting)

    def fail(self, error: ConsumerError) -> None:
        """Pass on nothing more; `run` raises this error."""
        if not self._broken.done():
            self._broken.set_result(error)

    async def run(self, after: int, on_start: Callable[[], None], *, within: float) -> None:
        """Read until it fails.

        `on_start` is called once the consumer exists; the server has `within` seconds to create it.
        Raises ConsumerError, or RefusedError if NATS does not permit to receive events.
        """
        self._seq = after
        name = ""
        inbox = self._inbox = self._client.new_deliver_subject()
        self._client.watch(self._broken, inbox)
        subscription = self._subscription = await self._client.subscribe(
            inbox,
            cb=self._on_message,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        try:
            info = await create(
                self._client, self._stream, _definition(inbox, after), within=within
            )
            name = info.name or ""
            self.heard = self._clock()
            if not self._count:  # otherwise an event has told it already, and is newer
                self._pending = info.num_pending or 0
            on_start()
            raise await self._failure()
        finally:
            self.fail(ConsumerError("stopped"))
            with contextlib.suppress(Exception):  # the server deletes it by itself later
                await subscription.unsubscribe()
                if name and self._client.is_connected and not self._silent():
                    context = self._client.jetstream(timeout=DELETE_SECONDS)
                    await context.delete_consumer(self._stream, name)

    async def _failure(self) -> ConsumerError:
        while True:
            raise_if_cancelled()
            done, _ = await asyncio.wait([self._broken], timeout=SILENCE_SECONDS / 5)
            if done:
                return self._broken.result()
            if self._silent():
                return ConsumerError("the consumer has gone silent")

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
                await asyncio.sleep(POLL_SECONDS)
                self.heard = self._clock()
        else:
            await self._on_control(message)

    def _on_event(self, message: Msg) -> None:
        """Pass on one event if it is the next one."""
        fields = message.reply.split(".")
        # $JS.ACK.[domain.account_hash.]stream.consumer.tries.seq.count.time.pending
        at = 5 if len(fields) == 9 else 7  # noqa: PLR2004
        seq, count, time, pending = (int(field) for field in fields[at : at + 4])
        if count != self._count + 1:
            self.fail(self._missing())
        elif seq != self._seq + 1:
            self.fail(SequenceGapError(f"the stream has dropped seqs {self._seq + 1} to {seq - 1}"))
        else:
            self._count, self._seq, self._pending = count, seq, pending
            headers = message.headers or {}
            self._handler(Stored.of(seq, message.subject, message.data, time, headers))

    async def _on_control(self, message: Msg) -> None:
        """Answer flow control, and compare a heartbeat's counts with the events received."""
        if message.reply:
            await self._answer(message.reply)
            return
        headers = message.headers or {}
        if stalled := headers.get("Nats-Consumer-Stalled"):
            await self._answer(stalled)
        if int(headers.get("Nats-Last-Consumer", self._count)) > self._count:
            self.fail(self._missing())
        elif int(headers.get("Nats-Last-Stream", self._seq)) > self._seq:
            self.fail(SequenceGapError(f"the stream has dropped the events after seq {self._seq}"))

    async def _answer(self, subject: str) -> None:
        """Answer flow control. If NATS refuses that, no event would come again."""
        self._client.watch(self._broken, self._inbox, subject)
        await self._client.publish(subject)

    def _missing(self) -> ConsumerError:
        return ConsumerError(f"message {self._count + 1} from the consumer is missing")


def _definition(inbox: str, after: int) -> ConsumerConfig:
    return ConsumerConfig(
        description=DESCRIPTION,
        deliver_subject=inbox,
        # Always by seq: a policy relative to now would start elsewhere after each restart.
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
