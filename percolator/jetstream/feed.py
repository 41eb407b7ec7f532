"""The feed: events out of the stream, each once and in order, whatever breaks.

One ordered push consumer, with no acks and in the server's memory, under a supervisor of our own.
The supervisor knows the last seq that it handed on, the consumer's sequence and the stream's
epoch. It starts again at last + 1 when a message is missing, when the server falls silent, or when
the connection ends; what the stream itself has dropped meanwhile, it reports as lost.

Flow control is answered after the events before it have been handed on: so a slow gateway slows
the server down, and the client library's queue does not overflow.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from percolator.errors import NatsError, NatsUnfitError, StreamConflictError
from percolator.events import KINDS, SUBJECT_PREFIX
from percolator.jetstream import stream
from percolator.jetstream.heads import heads

HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS = 1.5
"""No event and no heartbeat for so long: the consumer is gone."""
API_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 1.0
YIELD_EVERY = 64
"""The library hands on a queue of messages in one go; so often, everybody else gets a turn."""
PENDING_MESSAGES = 512 * 1024
PENDING_BYTES = 256 * 1024 * 1024

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Who takes what the feed reads. Calls come in stream order."""

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Reading starts after seq `after`; with another epoch, everything before is void."""

    def seed(self, seq: int, subject: str, payload: bytes) -> None:
        """The newest event of a subject before that."""

    def take(self, seq: int, subject: str, payload: bytes) -> None:
        """The next event."""

    def lose(self, before: int) -> None:
        """Events after the last one and before seq `before` are gone from the stream, unread."""


class Trouble(Exception):  # noqa: N818 - a reason to start again, not a fault
    """The consumer cannot be trusted any more; the text says why."""


class Feed:
    """Reads one stream into a sink, for ever."""

    def __init__(
        self,
        connect: Callable[[Callable[[], Awaitable[None]]], Awaitable[Client]],
        stream_name: str,
        sink: Sink,
        *,
        backlog: int,
        clock: Callable[[], float],
    ) -> None:
        """`connect` opens a connection that does not reconnect, and calls back when it ended."""
        self.epoch = ""
        self.seq = 0
        """The last seq that was handed on."""
        self.stream_seq = 0
        """The last seq that the stream is known to have."""
        self.lag = 0
        """How many events the stream has that were not handed on yet, as of the last one read."""
        self.connected = False
        self.ready = asyncio.Event()
        """Set once everything that the stream held at the start has been handed on."""
        self.restarts = -1
        """How often it has started again."""
        self.trouble = "not started yet"
        """Why it does not read; empty while it does."""
        self.client: Client | None = None
        """The connection that it reads from, while there is one."""
        self._connect = connect
        self._name = stream_name
        self._sink = sink
        self._backlog = backlog
        self._clock = clock
        self._heard = clock()
        self._consumed = 0
        self._target = 0
        self._broken: asyncio.Future[str] | None = None

    @property
    def silent_for(self) -> float:
        """Seconds since the consumer last showed a sign of life."""
        return self._clock() - self._heard

    @property
    def loaded(self) -> bool:
        """True once the state is there."""
        return self.ready.is_set()

    async def run(self) -> None:
        """Read until cancelled.

        Raises NatsError only before the state is loaded, and only where trying again is no use:
        there is no JetStream, or the stream is another.
        """
        failures = 0
        while True:
            before = self.seq
            try:
                await self._session()
            except (Trouble, NatsError, nats.errors.Error, APIError, OSError) as error:
                hopeless = isinstance(error, NatsUnfitError | StreamConflictError)
                if hopeless and not self.loaded:
                    raise
                self.trouble = str(error) or type(error).__name__
                log.warning("feed: %s; starting again after seq %d", self.trouble, self.seq)
            failures = 0 if self.seq > before else failures + 1
            most = min(MAX_BACKOFF_SECONDS, 0.05 * 2 ** min(failures, 6))
            await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - jitter

    async def _session(self) -> None:
        """One connection, and as many consumers on it as it takes until it fails."""
        ended = asyncio.Event()

        async def on_closed() -> None:
            ended.set()
            self._break("the connection to NATS has ended")

        client = await self._connect(on_closed)
        self.client = client
        try:
            self.connected = True
            while not ended.is_set():
                try:
                    await self._consume(client)
                except Trouble as trouble:
                    self.trouble = str(trouble)
                    log.warning("feed: %s; reading again after seq %d", trouble, self.seq)
            raise Trouble("the connection to NATS has ended")
        finally:
            self.connected, self.client = False, None
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.close(), API_SECONDS)

    async def _consume(self, client: Client) -> None:
        """Read with one consumer until it is in trouble."""
        state = await stream.ensure(client, self._name, timeout=API_SECONDS)
        await self._place(client, state)
        self.restarts += 1
        self._broken = asyncio.get_running_loop().create_future()
        self._consumed = 0
        self._heard = self._clock()
        inbox = client.new_inbox()
        subscription = await client.subscribe(
            inbox,
            cb=self._on_message,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        consumer = ""
        try:
            info = await client.jetstream(timeout=API_SECONDS).add_consumer(
                self._name, self._consumer(inbox)
            )
            consumer = info.name or ""
            self.lag = self._target = info.num_pending or 0
            if not self._target:
                self._arrived()
            self.trouble = ""
            await self._watch()
        finally:
            await self._give_up(client, subscription, consumer)

    async def _place(self, client: Client, state: stream.StreamState) -> None:
        """Find where to read on: after the last seq or, in a stream new to us, the backlog."""
        self.stream_seq = state.last_seq
        if state.epoch == self.epoch:
            if state.last_seq < self.seq:
                raise Trouble(f"the stream has gone back from seq {self.seq} to {state.last_seq}")
            if state.first_seq > self.seq + 1:
                self._lose(state.first_seq)
            return
        after = max(state.first_seq - 1, state.last_seq - self._backlog, 0)
        seeds = []
        if after >= state.first_seq:
            for kind in KINDS:
                pattern = f"{SUBJECT_PREFIX}.{kind}.>"
                seeds += await heads(client, self._name, pattern, after)
        first_seq = max(state.first_seq, 1)
        self._sink.begin(state.epoch, after, first_seq=first_seq, complete=state.complete)
        for seed in sorted(seeds):
            self._sink.seed(seed.seq, seed.subject, seed.payload)
        self.epoch, self.seq = state.epoch, after

    def _consumer(self, inbox: str) -> ConsumerConfig:
        return ConsumerConfig(
            description="percolator gateway feed",
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.seq + 1,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=HEARTBEAT_SECONDS,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=30,
        )

    async def _watch(self) -> None:
        """Wait for trouble: a break that was noticed, or silence."""
        assert self._broken is not None
        while True:
            done, _ = await asyncio.wait([self._broken], timeout=SILENCE_SECONDS / 3)
            if done:
                raise Trouble(self._broken.result())
            if self.silent_for > SILENCE_SECONDS:
                raise Trouble("the stream's consumer has fallen silent")

    async def _give_up(self, client: Client, subscription: Subscription, consumer: str) -> None:
        self._broken = None
        with contextlib.suppress(Exception):
            await subscription.unsubscribe()
        if consumer and client.is_connected:
            with contextlib.suppress(Exception):
                await client.jetstream(timeout=0.5).delete_consumer(self._name, consumer)

    async def _on_message(self, message: Msg) -> None:
        """Hand on one event in its turn, unless its consumer was given up."""
        if self._broken is None or self._broken.done():
            return
        self._heard = self._clock()
        if message.headers is not None and "Status" in message.headers:
            await self._on_control(message)
            return
        fields = message.reply.split(".")
        # $JS.ACK.stream.consumer.tries.seq.consumed.time.pending, or with domain and account hash
        at = 5 if len(fields) == 9 else 7  # noqa: PLR2004
        seq, consumed = int(fields[at]), int(fields[at + 1])
        if consumed != self._consumed + 1:
            self._break(f"message {self._consumed + 1} of the consumer is missing")
            return
        self._consumed = consumed
        if seq != self.seq + 1 and self.ready.is_set():
            self._lose(seq)
        self._sink.take(seq, message.subject, message.data)
        self.seq = seq
        self.lag = int(fields[at + 3])
        self.stream_seq = max(self.stream_seq, seq)
        if consumed >= self._target:
            self._arrived()
        if consumed % YIELD_EVERY == 0:
            await asyncio.sleep(0)

    async def _on_control(self, message: Msg) -> None:
        """Answer flow control, and check what a heartbeat says against what has come."""
        assert message.headers is not None
        if message.reply:
            await message.respond(b"")
            return
        stalled = message.headers.get("Nats-Consumer-Stalled")
        if stalled and message._client is not None:  # noqa: SLF001 - a message has no other way to it
            await message._client.publish(stalled)  # noqa: SLF001
        consumed = int(message.headers.get("Nats-Last-Consumer", self._consumed))
        if consumed > self._consumed:
            self._break(f"message {self._consumed + 1} of the consumer is missing")

    def _lose(self, before: int) -> None:
        log.warning("feed: the stream has dropped events after seq %d, before %d", self.seq, before)
        self._sink.lose(before)
        self.seq = before - 1

    def _arrived(self) -> None:
        if not self.ready.is_set():
            log.info("feed: state loaded up to seq %d", self.seq)
            self.ready.set()

    def _break(self, reason: str) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(reason)
