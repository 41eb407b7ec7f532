"""The projector: reads the stream of events, and writes candles to a stream of their own.

It keeps nothing: where it goes on is in what was written last. See docs/projections.md.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable

from percolator.app.candle_sink import CandleSink, Place
from percolator.app.candle_writer import CandleWriter
from percolator.config.settings import Settings
from percolator.errors import NatsError
from percolator.jetstream import candles
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.candles import StreamTime
from percolator.jetstream.client import NatsClient
from percolator.jetstream.dialer import Dialer
from percolator.jetstream.feed import Feed
from percolator.jetstream.start import Start
from percolator.jetstream.stream import StreamState
from percolator.model.events import decoder
from percolator.projections.candles import MINUTE_MS, SUBJECT_PREFIX, read

MARGIN_MS = 61_000
"""Milliseconds before the last written minute from which the stream is read again."""
TICK_SECONDS = 0.5
"""Seconds without an event after which the stream is asked for its time."""

logger = logging.getLogger(__name__)


class Projector:
    """One projector: a feed, the fold behind it, and the writer of what is finished."""

    def __init__(
        self,
        settings: Settings,
        find: Callable[[], Awaitable[NatsAddress]],
        *,
        interval_ms: int = MINUTE_MS,
    ) -> None:
        """`find` returns the current address of NATS; it is called for each connection."""
        self._clock = clock = asyncio.get_running_loop().time
        self._settings = settings
        self.runs = False
        """True while it runs in a gateway."""
        self._begun = asyncio.Event()
        self._reading: list[asyncio.Task[None]] = []
        decode = decoder(require_slab=settings.require_slab)
        self.writer = CandleWriter(
            Dialer(find, name="percolator candles").dial, settings.candles_stream, clock=clock
        )
        self._sink = CandleSink(
            self.writer.add, lambda: self.writer.full, decode, interval_ms=interval_ms
        )
        self.feed = Feed(
            Dialer(find, name="percolator projector").dial,
            settings.stream,
            self._sink,
            start=self._begin,
            waits=True,
            clock=clock,
        )

    async def run(self) -> None:
        """Read and write until cancelled.

        Raises NatsError, in a group, before the stream is loaded and if a retry cannot help.
        """
        async with asyncio.TaskGroup() as group:
            self._reading = [
                group.create_task(self.feed.run()),
                group.create_task(self._watch_silence()),
            ]
            group.create_task(self._write())

    async def _write(self) -> None:
        """Write once the feed has found its place: it reports what makes writing impossible."""
        await self._begun.wait()
        await self.writer.run()

    async def run_beside(self) -> None:
        """Run in a gateway, which goes on without candles if they cannot be written."""
        self.runs = True
        try:
            await self.run()
        except* NatsError as errors:
            text = "projector: no candles are written: %s"
            logger.error(text, errors.exceptions[0])  # noqa: TRY400 - a sentence, no traceback
        finally:
            self.runs = False

    async def drain(self, seconds: float) -> None:
        """Stop reading, and write what is finished, unless another projector writes it."""
        for task in self._reading:
            task.cancel()
        if not self.writer.standing_by:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.writer.drained(), seconds)

    async def _begin(self, client: NatsClient, state: StreamState, _is_first: bool) -> Start:  # noqa: FBT001 - as FindStart
        """Find the place to go on from: the last minute that was written, with some margin."""
        name, settings = self._settings.candles_stream, self._settings
        await candles.ensure(client, name)
        found = await candles.last_candles(client, name)
        read_back = {
            subject.removeprefix(SUBJECT_PREFIX): read(stored.payload, stored.time)
            for subject, stored in found.items()
        }
        written = {slab: each for slab, each in read_back.items() if each is not None}
        start = max((each.start for each in written.values()), default=0)
        after = 0
        if start:
            after = await candles.seq_before(client, settings.stream, state, start - MARGIN_MS)
        self._sink.place = Place(start, written, state.last_seq)
        self._begun.set()
        text = "projector: %d markets have candles in %s; reading %s after seq %d"
        logger.info(text, len(written), name, settings.stream, after)
        return Start(after, [])

    async def _watch_silence(self) -> None:
        """Finish minutes by the stream's own clock while no event comes."""
        earlier: StreamTime | None = None
        count, next_look = 0, 0.0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            feed, sink = self.feed, self._sink
            if feed.client is None or feed.trouble:
                earlier = None
                continue
            sink.settle()
            if sink.count != count or sink.fold.due == math.inf:
                earlier, count, next_look = None, sink.count, 0.0
            elif self._clock() >= next_look:
                found = await self._time_of_all_read(feed.client)
                # All that was stored before the earlier answer is in this one.
                if found and earlier:
                    sink.advance(earlier.now)
                earlier = found
                wait = (sink.fold.due - found.now) / 1000 if found else 0
                next_look = self._clock() + wait

    async def _time_of_all_read(self, client: NatsClient) -> StreamTime | None:
        """Return the stream's state and time if all that it holds has been read."""
        try:
            found = await candles.time_of(client, self._settings.stream)
        except Exception:  # noqa: BLE001 - the feed finds out what is wrong, and says it
            return None
        same = found.state.epoch == self.feed.created
        return found if same and found.state.last_seq == self._sink.fold.seq else None
