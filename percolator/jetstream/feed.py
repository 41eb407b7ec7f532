"""The feed: events from the stream, each once and in order, whatever breaks.

A supervisor that runs one consumer after another. It knows the last seq that it passed on and the
stream's incarnation. If the consumer fails or the connection ends, it starts again at last + 1.
If seqs are missing from the stream, or a consumer makes no progress, it reads on with direct gets
and reports which channels may have lost events.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import nats.errors
from nats.js.errors import Error as JetStreamError

from percolator.errors import (
    NatsError,
    NatsUnfitError,
    StreamConflictError,
    StreamMissingError,
)
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import Handler, hang_up
from percolator.jetstream.consumer import POLL_SECONDS, Consumer
from percolator.jetstream.direct import Stored
from percolator.jetstream.errors import ConsumerError, SequenceGapError, StreamChangedError
from percolator.jetstream.failures import words
from percolator.jetstream.gaps import SequenceGap, read_by_page, unsure_seeds, with_wildcards
from percolator.jetstream.incarnation import StreamIncarnation
from percolator.jetstream.liveness import hedged, is_alive, raise_if_cancelled
from percolator.jetstream.sink import Sink
from percolator.jetstream.start import FindStart
from percolator.jetstream.stream import StreamState
from percolator.jetstream.trouble import Trouble
from percolator.jetstream.watched import WatchedStream

ANSWER_SECONDS = 4.0
"""Seconds NATS has to answer a request."""
CONSUMER_SECONDS = 0.75
"""Seconds NATS has to create a consumer, which it may have placed on a frozen server.

More on a slow network, and doubled after each failure."""
MAX_BACKOFF_SECONDS = 1.0
STEADY_SECONDS = 5.0
"""A consumer that lasted this many seconds counts as a success, with or without events."""
PATIENCE = 10_000
"""Events by which the feed may fall further behind while it waits for a full sink."""

RECOVERABLE = (ConsumerError, StreamChangedError, NatsError, nats.errors.Error, JetStreamError)

logger = logging.getLogger(__name__)


class Feed:
    """Reads one stream into a sink, forever."""

    def __init__(
        self,
        connect: Callable[[Handler], Awaitable[NatsClient]],
        stream_name: str,
        sink: Sink,
        *,
        start: FindStart,
        clock: Callable[[], float],
        create_stream: bool = True,
    ) -> None:
        """`connect` opens a connection without reconnect; it calls its argument when that ends."""
        self.stream_seq = 0
        """The newest seq that the stream is known to have."""
        self.connected = False
        self.ready = asyncio.Event()
        """Set once everything that the stream held at the start has been passed on."""
        self.restarts = -1
        """Consumers started after the first one."""
        self.client: NatsClient | None = None
        """The connection that it reads from; None until the stream behind it has been checked."""
        self._connect = connect
        self.stream = WatchedStream(stream_name, create=create_stream)
        self._name = stream_name
        self._sink = sink
        self._start = start
        self._clock = clock
        self._trouble = Trouble()
        self._incarnation = StreamIncarnation(stream_name, clock)
        self._heard = clock()
        self._consumer: Consumer | None = None
        self._last_run: tuple[float, str] | None = None
        """Seconds that the previous consumer lasted, and why it ended."""
        self._target: int | None = None
        self._round_trip = 0.0
        self._lag = self._least_lag = 0
        self._failures = 0
        self._by_page = False

    @property
    def trouble(self) -> str:
        """Why it is not reading; empty while it is."""
        return self._trouble.text

    @property
    def epoch(self) -> str:
        """Identifies the incarnation of the stream that it reads."""
        return self._incarnation.epoch

    @property
    def created(self) -> str:
        """Identifies the creation of that stream."""
        return self._incarnation.created

    @property
    def seq(self) -> int:
        """The last seq that was passed on."""
        return self._incarnation.seq

    @property
    def lag(self) -> int:
        """Events known to be in the stream that were not passed on yet."""
        return self._lag if self._consumer is None else self._consumer.lag

    @property
    def silent_for(self) -> float:
        """Seconds since the stream last showed a sign of life."""
        heard = self._heard if self._consumer is None else self._consumer.heard
        return self._clock() - heard

    @property
    def loaded(self) -> bool:
        """True once the state is loaded."""
        return self.ready.is_set()

    async def run(self) -> None:
        """Read until cancelled.

        Raises NatsError only before the state is loaded, and only if a retry cannot help: NATS has
        no JetStream, or the stream has another definition, or is not ours to create.
        """
        while True:
            try:
                await self._session()
            except (*RECOVERABLE, OSError) as error:
                if _hopeless(error) and not self.loaded:
                    raise
                self._note_failure(error)
            except Exception as error:
                logger.exception("feed: unexpected error")
                self._note_failure(error)
            await self._pause()

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        self._trouble.note(error, self.seq)

    async def _pause(self) -> None:
        raise_if_cancelled()
        limit = min(MAX_BACKOFF_SECONDS, 0.05 * 2 ** min(self._failures, 10))
        await asyncio.sleep(random.uniform(0, limit))  # noqa: S311 - jitter

    async def _session(self) -> None:
        """Open one connection, and run consumers on it until the connection fails."""
        ended = asyncio.Event()

        async def on_closed() -> None:
            ended.set()
            if self._consumer is not None:
                self._consumer.fail(ConsumerError("the connection to NATS has ended"))

        self._trouble.said = ""
        client = await self._connect(on_closed)
        try:
            self.connected = True
            while True:
                try:
                    await self._read(client)
                except RECOVERABLE as error:
                    if ended.is_set() or _hopeless(error) or not await is_alive(client):
                        raise
                    self._note_failure(error)
                await self._pause()
        finally:
            self.connected, self.client = False, None
            await hang_up(client)

    async def _read(self, client: NatsClient) -> None:
        """Read with one consumer until it fails; this always ends with an exception."""
        before, start = self.seq, self._clock()
        client.said = ""
        try:
            state = await hedged(lambda: self._ask(client))
            await self._find_position(client, state)
            self._lag = self._least_lag = state.last_seq - self.seq
            if self._target is None:
                self._target = state.last_seq
            self.client = client  # not earlier: a replay must not read another incarnation
            if self._by_page and self.seq < state.last_seq:
                await self._read_by_page(client, state.last_seq)
            await self._consume(client)
        finally:
            self._trouble.said = client.said
            if self.seq > before or self._clock() - start > STEADY_SECONDS:
                self._failures = 0

    async def _ask(self, client: NatsClient) -> StreamState:
        asked = self._clock()
        state = await self.stream.ensure(client, timeout=ANSWER_SECONDS)
        self._heard = self._clock()
        self._round_trip = self._heard - asked
        return state

    async def _consume(self, client: NatsClient) -> None:
        before, start = self.seq, self._clock()
        self._by_page = True
        self._consumer = Consumer(
            client, self._name, clock=self._clock, on_event=self._on_event, paused=self._paused
        )
        within = max(CONSUMER_SECONDS, 4 * self._round_trip) * 2 ** min(self._failures, 3)
        try:
            await self._consumer.run(
                before, lambda: self._on_start(before), within=min(within, ANSWER_SECONDS)
            )
        except Exception as error:
            self._last_run = self._clock() - start, words(error)
            if isinstance(error, ConsumerError) and not isinstance(error, SequenceGapError):
                self._by_page = self.seq == before  # the next event may be unreadable for it
            raise
        finally:
            self._heard, self._lag = self._consumer.heard, self._consumer.lag
            self._consumer = None

    # Where to resume.

    async def _find_position(self, client: NatsClient, state: StreamState) -> None:
        """Resume after the last seq or, if the stream is new to us, start with the backlog."""
        self.stream_seq = state.last_seq
        epoch = await self._incarnation.current_epoch(client, state)
        if epoch != self.epoch:
            await self._begin(client, state, epoch)
        elif state.first_seq > self.seq + 1:
            self._by_page = True

    async def _begin(self, client: NatsClient, state: StreamState, epoch: str) -> None:
        """Start where it is wanted, and hand the sink what it must know of what came before."""
        if self.epoch and not state.created:
            text = "feed: another stream %s has taken the place of the one that was read"
            logger.warning(text, self._name)
        after, seeds = await self._start(client, state, not self.epoch)
        if after >= state.first_seq:
            now = await self.stream.look(client, timeout=ANSWER_SECONDS)
            if now.epoch != state.epoch:
                raise StreamChangedError("the stream was replaced while its state was being read")
            state = now  # it may have dropped events meanwhile
        unsure = await unsure_seeds(client, self._name, state, seeds, after)
        first = max(state.first_seq, 1)
        self._sink.begin(epoch, after, first_seq=first, complete=state.complete)
        for seed in sorted(seeds):
            self._sink.seed(seed)
        if unsure is not None:
            self._sink.record_gap(unsure.before, unsure.subjects)
        self._incarnation.begin(epoch, state.epoch, after)
        self._target = None

    # Reading.

    def _on_start(self, after: int) -> None:
        self.restarts += 1
        self._trouble.end(after)
        text = "feed: consumer started on stream %s after seq %d"
        if self._last_run is None:
            logger.debug(text, self._name, after)
        else:
            text += "; the previous one lasted %.1f s: %s"
            logger.debug(text, self._name, after, *self._last_run)
        self._check_ready()

    def _on_event(self, event: Stored) -> None:
        self._pass_on(event)
        self._check_ready()

    def _paused(self) -> bool:
        """Return whether the next event must wait: for a full sink, but only up to PATIENCE."""
        lag = self.lag
        self._least_lag = min(self._least_lag, lag)
        return self._sink.full and lag <= self._least_lag + PATIENCE

    async def _read_by_page(self, client: NatsClient, last_seq: int) -> None:
        steps = read_by_page(client, self._name, self.seq, last_seq, self._sink.last_seqs)
        async for step in steps:
            self._heard = self._clock()
            if isinstance(step, SequenceGap):
                self._record_gap(step)
            else:
                self._pass_on(step)
                self._lag = max(last_seq - self.seq, 0)
            while self._paused():
                await asyncio.sleep(POLL_SECONDS)
                self._heard = self._clock()

    def _pass_on(self, event: Stored) -> None:
        try:
            if event.marker:
                self._sink.skip(event.seq)
            else:
                self._sink.take(event)
        except Exception:
            text = "feed: event %d could not be processed; its channel continues after a gap"
            logger.exception(text, event.seq)
            self._sink.record_gap(event.seq + 1, with_wildcards([event.subject]))
        self._incarnation.advance(event.seq, event.time)
        self.stream_seq = max(self.stream_seq, event.seq)

    def _record_gap(self, gap: SequenceGap) -> None:
        self._sink.record_gap(gap.before, gap.subjects)
        if gap.before > self.seq + 1:
            self._incarnation.advance(gap.before - 1, None)

    def _check_ready(self) -> None:
        if not self.ready.is_set() and self._target is not None and self.seq >= self._target:
            logger.info("feed: state loaded up to seq %d", self.seq)
            self.ready.set()


def _hopeless(error: Exception) -> bool:
    return isinstance(error, NatsUnfitError | StreamConflictError | StreamMissingError)
