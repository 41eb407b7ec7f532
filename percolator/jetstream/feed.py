"""The feed: events out of the stream, each once and in order, whatever breaks.

A supervisor over one consumer after another. It knows the last seq that it handed on and the life
of the stream, and starts again at last + 1 when the consumer is in trouble or the connection has
ended. Where the stream has holes, and where a consumer makes no headway, it reads on by direct
gets, and says which channels may have lost something.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsError, NatsUnfitError, StreamConflictError
from percolator.jetstream import stream
from percolator.jetstream.connect import Handler, hang_up
from percolator.jetstream.consumer import (
    HOLD_SECONDS,
    Consumer,
    ConsumerError,
    Delivery,
    SequenceGapError,
)
from percolator.jetstream.direct import Stored
from percolator.jetstream.gaps import SequenceGap, read_by_page
from percolator.jetstream.incarnation import StreamIncarnation
from percolator.jetstream.last_per_subject import last_per_subject
from percolator.jetstream.liveness import hedged, is_alive, raise_if_cancelled
from percolator.jetstream.stream import StreamState
from percolator.jetstream.subjects import Growth
from percolator.model.channel import SUBJECTS

ANSWER_SECONDS = 4.0
"""For NATS to answer a request."""
CONSUMER_SECONDS = 0.75
"""For it to set up a consumer, if the network allows: it may have chosen a server that is frozen.

After each failure twice as long."""
MAX_BACKOFF_SECONDS = 1.0
STEADY_SECONDS = 5.0
"""A consumer that has lasted for so long was a success, whether or not there were events."""
PATIENCE = 10_000
"""Events by which the feed may fall back, so that a sink that is full need not lose any."""

RECOVERABLE = (ConsumerError, NatsError, nats.errors.Error, JetStreamError)

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Who takes what the feed reads. Calls come in stream order."""

    def begin(self, epoch: str, after: int, *, first_seq: int, complete: bool) -> None:
        """Reading starts after seq `after`; with another epoch, everything before is void."""

    def seed(self, seq: int, subject: str, payload: bytes) -> None:
        """The newest valid event of a subject before that."""

    def take(self, seq: int, subject: str, payload: bytes) -> None:
        """The next event."""

    def record_gap(self, before: int, subjects: frozenset[str]) -> None:
        """The stream has a hole before seq `before`; these subjects may have lost events in it."""

    @property
    def full(self) -> bool:
        """True while it would lose events if it were given more."""

    def last_seqs(self) -> Mapping[str, int]:
        """The newest event taken of each subject that must not lose any unsaid; 0: none known."""


class Feed:
    """Reads one stream into a sink, for ever."""

    def __init__(
        self,
        connect: Callable[[Handler], Awaitable[Client]],
        stream_name: str,
        sink: Sink,
        *,
        backlog: int,
        clock: Callable[[], float],
    ) -> None:
        """`connect` opens a connection that does not reconnect, and calls back when it ended."""
        self.stream_seq = 0
        """The last seq that the stream is known to have."""
        self.connected = False
        self.ready = asyncio.Event()
        """Set once everything that the stream held at the start has been handed on."""
        self.restarts = -1
        """How often it has started again."""
        self.trouble = "not started yet"
        """Why it does not read; empty while it does."""
        self.client: Client | None = None
        """The connection that it reads from, while there is one that reads the stream it knows."""
        self._connect = connect
        self._name = stream_name
        self._sink = sink
        self._backlog = backlog
        self._clock = clock
        self._incarnation = StreamIncarnation(stream_name, clock)
        self._heard = clock()
        self._consumer: Consumer | None = None
        self._target: int | None = None
        self._round_trip = 0.0
        self._lag = self._least_lag = 0
        self._failures = 0
        self._by_page = False
        self._growth: Growth | None = None

    @property
    def epoch(self) -> str:
        """The life of the stream that it reads."""
        return self._incarnation.epoch

    @property
    def created(self) -> str:
        """Names the creation of that stream."""
        return self._incarnation.created

    @property
    def seq(self) -> int:
        """The last seq that was handed on."""
        return self._incarnation.seq

    @property
    def lag(self) -> int:
        """How many events the stream has that were not handed on yet, as far as is known here."""
        return self._lag if self._consumer is None else self._consumer.lag

    @property
    def silent_for(self) -> float:
        """Seconds since the stream last showed a sign of life."""
        heard = self._heard if self._consumer is None else self._consumer.heard
        return self._clock() - heard

    @property
    def loaded(self) -> bool:
        """True once the state is there."""
        return self.ready.is_set()

    async def run(self) -> None:
        """Read until cancelled.

        Raises NatsError only before the state is loaded, and only where trying again is no use:
        there is no JetStream, or the stream is another.
        """
        while True:
            try:
                await self._session()
            except (*RECOVERABLE, OSError) as error:
                if _hopeless(error) and not self.loaded:
                    raise
                self._note(error)
            except Exception as error:
                logger.exception("feed: an error that nobody foresaw")
                self._note(error)
            await self._pause()

    def _note(self, error: Exception) -> None:
        self._failures += 1
        self.trouble = str(error) or type(error).__name__
        logger.warning("feed: %s; reading on after seq %d", self.trouble, self.seq)

    async def _pause(self) -> None:
        raise_if_cancelled()
        most = min(MAX_BACKOFF_SECONDS, 0.05 * 2 ** min(self._failures, 10))
        await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - jitter

    async def _session(self) -> None:
        """One connection, and as many consumers on it as it takes until it fails."""
        ended = asyncio.Event()

        async def on_closed() -> None:
            ended.set()
            if self._consumer is not None:
                self._consumer.fail(ConsumerError("the connection to NATS has ended"))

        client = await self._connect(on_closed)
        try:
            self.connected = True
            while True:
                try:
                    await self._read(client)
                except RECOVERABLE as error:
                    if ended.is_set() or _hopeless(error) or not await is_alive(client):
                        raise
                    self._note(error)
                await self._pause()
        finally:
            self.connected, self.client = False, None
            await hang_up(client)

    async def _read(self, client: Client) -> None:
        """Read with one consumer until it is in trouble; which is always raised."""
        before, start = self.seq, self._clock()
        try:
            state = await hedged(lambda: self._ask(client))
            await self._place(client, state)
            self._lag = self._least_lag = state.last_seq - self.seq
            if self._target is None:
                self._target = state.last_seq
            self.client = client  # not before: a replay must not read another life than this one
            if self._by_page and self.seq < state.last_seq:
                await self._read_by_page(client, state.last_seq)
            await self._consume(client)
        finally:
            if self.seq > before or self._clock() - start > STEADY_SECONDS:
                self._failures = 0

    async def _ask(self, client: Client) -> StreamState:
        asked = self._clock()
        state = await stream.ensure(client, self._name, timeout=ANSWER_SECONDS)
        if state.growth and state.growth != self._growth:
            logger.warning("feed: %s; to add them: %s", *state.growth)
        self._growth = state.growth
        self._heard = self._clock()
        self._round_trip = self._heard - asked
        return state

    async def _consume(self, client: Client) -> None:
        before = self.seq
        self._by_page = True
        self._consumer = Consumer(
            client, self._name, clock=self._clock, take=self._take, paused=self._paused
        )
        within = max(CONSUMER_SECONDS, 4 * self._round_trip) * 2 ** min(self._failures, 3)
        try:
            await self._consumer.run(before, self._opened, within=min(within, ANSWER_SECONDS))
        except SequenceGapError:
            raise
        except ConsumerError:
            self._by_page = self.seq == before  # it may have met an event that it cannot read
            raise
        finally:
            self._heard, self._lag = self._consumer.heard, self._consumer.lag
            self._consumer = None

    # Where to read on.

    async def _place(self, client: Client, state: StreamState) -> None:
        """Find where to read on: after the last seq or, in a stream new to us, the backlog."""
        self.stream_seq = state.last_seq
        epoch = await self._incarnation.current_epoch(client, state)
        if epoch != self.epoch:
            await self._begin(client, state, epoch)
        elif state.first_seq > self.seq + 1:
            self._by_page = True

    async def _begin(self, client: Client, state: StreamState, epoch: str) -> None:
        """Begin with the backlog; where another life was read before, with all that there is."""
        first = max(state.first_seq, 1)
        after = first - 1
        seeds: list[Stored] = []
        if not self.epoch:
            after = max(after, state.last_seq - self._backlog)
        if after >= first:
            for subjects in SUBJECTS.values():
                seeds += await last_per_subject(client, self._name, subjects, after)
            now = await stream.ensure(client, self._name, timeout=ANSWER_SECONDS)
            if now.epoch != state.epoch:
                raise ConsumerError("the stream was replaced while it was looked at")
            state = now  # it may have dropped something meanwhile
        first = max(state.first_seq, 1)
        self._sink.begin(epoch, after, first_seq=first, complete=state.complete)
        for seed in sorted(seeds):
            self._sink.seed(seed.seq, seed.subject, seed.payload)
        self._incarnation.begin(epoch, state.epoch, after)
        self._target = None

    # Reading.

    def _opened(self) -> None:
        self.restarts += 1
        self.trouble = ""
        self._look_around()

    def _take(self, delivery: Delivery) -> None:
        self._hand_on(delivery.seq, delivery.subject, delivery.payload, delivery.time)
        self._look_around()

    def _paused(self) -> bool:
        """Tell whether the next event is to wait: for a sink that is full, but not for too long."""
        lag = self.lag
        self._least_lag = min(self._least_lag, lag)
        return self._sink.full and lag <= self._least_lag + PATIENCE

    async def _read_by_page(self, client: Client, last_seq: int) -> None:
        steps = read_by_page(client, self._name, self.seq, last_seq, self._sink.last_seqs)
        async for step in steps:
            self._heard = self._clock()
            if isinstance(step, SequenceGap):
                self._lose(step)
            else:
                self._hand_on(*step)
                self._lag = max(last_seq - self.seq, 0)
            while self._paused():
                await asyncio.sleep(HOLD_SECONDS)
                self._heard = self._clock()

    def _hand_on(self, seq: int, subject: str, payload: bytes, time: int) -> None:
        try:
            self._sink.take(seq, subject, payload)
        except Exception:
            text = "feed: event %d could not be taken; its channel goes on after a gap"
            logger.exception(text, seq)
            self._sink.record_gap(seq + 1, frozenset({subject}))
        self._incarnation.advance(seq, time)
        self.stream_seq = max(self.stream_seq, seq)

    def _lose(self, loss: SequenceGap) -> None:
        self._sink.record_gap(loss.before, loss.subjects)
        if loss.before > self.seq + 1:
            self._incarnation.advance(loss.before - 1, None)

    def _look_around(self) -> None:
        """See whether everything that was there at the start has been handed on."""
        if not self.ready.is_set() and self._target is not None and self.seq >= self._target:
            logger.info("feed: state loaded up to seq %d", self.seq)
            self.ready.set()


def _hopeless(error: Exception) -> bool:
    return isinstance(error, NatsUnfitError | StreamConflictError)
