"""The candle writer: writes finished minutes to the stream of candles, each candle once.

Any number of projectors may write. JetStream accepts a candle only after the last one of its
subject that the writer knows, so of two writers one is first. The one that is first with the first
candle of a minute goes on; the other stands by: it gives each minute some seconds, and then writes
what is not there. A minute is begun when the one before it is there as a whole, so what was written
last says what there is.

The connection is closed at the first doubt. The next one begins with what the stream holds.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsError, NatsUnreachableError
from percolator.jetstream import candles as stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import Handler, hang_up
from percolator.jetstream.direct import Stored
from percolator.jetstream.failures import words
from percolator.jetstream.liveness import raise_if_cancelled
from percolator.jetstream.refusals import RefusedError
from percolator.projections.candles import Candle, read

STANDBY_SECONDS = 3.0
"""Seconds after which a minute that another projector has not written counts as abandoned."""
MAX_WAITING = 20_000
"""Candles that wait to be written, about 10 MB; from there on the feed waits."""
MAX_IN_FLIGHT = 256
MAX_BACKOFF_SECONDS = 1.0
ATTEMPTS = 3

RECOVERABLE = (NatsError, nats.errors.Error, JetStreamError, OSError)

logger = logging.getLogger(__name__)


class _Minute(NamedTuple):
    candles: list[Candle]
    finished: float
    """When the fold finished it, on our clock."""


class _Last(NamedTuple):
    """The last candle of a subject."""

    seq: int = 0
    start: int = -1
    payload: bytes = b""


class CandleWriter:
    """Writes minutes in order, forever."""

    def __init__(
        self,
        connect: Callable[[Handler], Awaitable[NatsClient]],
        stream_name: str,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`connect` opens a connection without reconnect; it calls its argument when that ends."""
        self.written = 0
        """Candles that were written here."""
        self.differing = 0
        """Candles that are not the same as those that another projector wrote."""
        self.standing_by: bool | None = None
        """True if another projector writes; None if that is not known yet."""
        self._connect = connect
        self._name = stream_name
        self._clock = clock
        self._minutes: deque[_Minute] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._last: dict[str, _Last] = {}
        self._attempted: set[str] = set()
        """Candles of the first minute that this writer has sent; an ack may have been lost."""
        self._unequal: set[str] = set()
        """Candles of the first minute that differ from those that are there."""
        self._failures = 0

    def add(self, candles: list[Candle]) -> None:
        """Write the candles of the next minute when it is their turn."""
        self._minutes.append(_Minute(candles, self._clock()))
        self._waiting += len(candles)
        self._empty.clear()
        self._wake.set()

    @property
    def full(self) -> bool:
        """True while many candles wait."""
        return self._waiting >= MAX_WAITING

    async def drained(self) -> None:
        """Wait until nothing waits to be written."""
        await self._empty.wait()

    async def run(self) -> None:
        """Write until cancelled. Whatever NATS does, it tries again."""
        while True:
            try:
                await self._session()
            except RECOVERABLE as error:
                self._failures += 1
                reason = str(error) or type(error).__name__
                logger.warning("projector: candles cannot be written: %s; retrying", reason)
            except Exception:
                self._failures += 1
                logger.exception("projector: unexpected error; retrying")
            raise_if_cancelled()
            await asyncio.sleep(min(MAX_BACKOFF_SECONDS, 0.05 * 2 ** min(self._failures, 10)))

    async def _session(self) -> None:
        """Open one connection, and write on it until it fails."""

        async def on_closed() -> None:
            ended.set()
            self._wake.set()

        ended = asyncio.Event()
        client = await self._connect(on_closed)
        try:
            await stream.ensure(client, self._name)
            await self._load(client)
            while not ended.is_set():
                await self._turn(client)
            raise NatsUnreachableError("the connection to NATS has ended")
        except (nats.errors.TimeoutError, RefusedError) as error:
            raise NatsUnreachableError(f"NATS does not acknowledge them: {words(error)}") from None
        finally:
            await hang_up(client)

    async def _turn(self, client: NatsClient) -> None:
        """Write the next minute, if it is time for it; else wait."""
        raise_if_cancelled()
        if not self._minutes:
            await self._wait(None)
            return
        minute = self._minutes[0]
        if self.standing_by and self._missing(minute.candles):
            wait = minute.finished + STANDBY_SECONDS - self._clock()
            if wait > 0:
                await self._wait(wait)
                return
            await self._load(client)
        await self._write(client, minute.candles)
        self._failures = 0
        self._attempted.clear()
        self._unequal.clear()
        self._minutes.popleft()
        self._waiting -= len(minute.candles)
        if not self._minutes:
            self._empty.set()

    async def _wait(self, seconds: float | None) -> None:
        """Wait for that long, or until something happens."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _load(self, client: NatsClient) -> None:
        """Read the last candle of each market."""
        found = await stream.last_candles(client, self._name)
        self._last = {subject: _last(stored) for subject, stored in found.items()}

    async def _write(self, client: NatsClient, candles: list[Candle]) -> None:
        """Write those candles of a minute that are not there."""
        missing = self._missing(candles)
        if not missing:
            return
        context = client.jetstream(timeout=stream.ANSWER_SECONDS)
        is_first = await self._put(client, context, missing[0])
        self._set_role(standing_by=not is_first)
        slots = asyncio.Semaphore(MAX_IN_FLIGHT)

        async def put(candle: Candle) -> None:
            async with slots:
                await self._put(client, context, candle)

        results = await asyncio.gather(*map(put, missing[1:]), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _missing(self, candles: list[Candle]) -> list[Candle]:
        return [each for each in candles if not self._is_there(each)]

    async def _put(self, client: NatsClient, context: JetStreamContext, candle: Candle) -> bool:
        """Write one candle. Returns whether this writer was the first.

        If it was refused, another writer was first, or what is known of its subject is old.
        """
        subject = candle.subject
        is_again = candle.message_id in self._attempted
        self._attempted.add(candle.message_id)
        for _ in range(ATTEMPTS):
            seq = await stream.write(
                context,
                self._name,
                subject,
                candle.payload,
                message_id=candle.message_id,
                after=self._last.get(subject, _Last()).seq,
            )
            if seq is not None:
                self._last[subject] = _Last(seq, candle.start, candle.payload)
                self.written += 1
                return True
            found = await stream.last_candle(client, self._name, subject)
            self._last[subject] = _last(found) if found else _Last()
            if self._is_there(candle):
                return is_again
        raise NatsUnreachableError(
            f"the stream {self._name} refuses the candle {candle.message_id}"
        )

    def _is_there(self, candle: Candle) -> bool:
        last = self._last.get(candle.subject)
        if last is None or last.start < candle.start:
            return False
        if last.start == candle.start and last.payload != candle.payload:
            self._note_unequal(candle)
        return True

    def _note_unequal(self, candle: Candle) -> None:
        if candle.message_id not in self._unequal:
            self._unequal.add(candle.message_id)
            self.differing += 1
            text = "projector: the candle %s of another projector differs, and stays as it is"
            logger.warning(text, candle.message_id)

    def _set_role(self, *, standing_by: bool) -> None:
        if standing_by != self.standing_by:
            self.standing_by = standing_by
            text = "standing by, another projector writes" if standing_by else "writing candles"
            logger.info("projector: %s", text)


def _last(stored: Stored) -> _Last:
    """Read the last message of a subject; if it is not a candle, any candle may follow it."""
    candle = read(stored.payload, stored.time)
    return _Last(stored.seq, candle.start if candle else -1, stored.payload)
