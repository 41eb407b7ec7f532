"""The composition root: what is started, in which order, and stopped. Here the wings meet."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from nats.aio.client import Client

from percolator import histogram
from percolator.app import descriptors, recording
from percolator.app.intake import Intake
from percolator.app.metrics import Metrics, Sources
from percolator.app.nats_source import NatsSource
from percolator.app.rejections import Rejections
from percolator.app.replayer import Replayer
from percolator.app.routes import Routes
from percolator.app.views import Data, health_view, market_view, markets_view, stats_view
from percolator.auth import tokens
from percolator.config.settings import Settings
from percolator.errors import NatsError
from percolator.fanout.book import Book
from percolator.fanout.hub import Hub
from percolator.fanout.session import ClientSession, SessionContext
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway import tls
from percolator.gateway.admission import Admission
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.pacer import Pacer
from percolator.gateway.server import Limits, Server
from percolator.histogram import Histogram
from percolator.jetstream.connect import connect
from percolator.jetstream.dialer import Dialer
from percolator.jetstream.feed import Feed
from percolator.jetstream.publisher import Publisher
from percolator.jetstream.replay import Replay
from percolator.model.kinds import PRICE
from percolator.stats import Stats

CLIENTS_SHARE = 0.8
"""Of the time for an orderly end; the rest is for the feed and for NATS."""
LEAST_SECONDS = 0.25
"""For each of the two, where the clients have taken it all."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is, once it is ready."""

    host: str
    port: int
    nats: str
    data_dir: str | None
    """Where the embedded nats-server keeps its data; None where NATS is somebody else's."""


class Service:
    """A whole gateway: NATS, feed, hub and sockets."""

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        clock = loop.time
        self.settings = settings
        self.stats = Stats(clock())
        self.slab_limits = SlabLimits(
            per_slab=settings.max_connections_per_slab,
            channels_per_client=settings.max_channels_per_client,
        )
        self.flush_seconds = Histogram(histogram.SECONDS)
        self.flush_bytes = Histogram(histogram.BYTES)
        self.pacer = Pacer(loop, self._flush, lambda: self.book.due)
        self.book = Book(
            clock=clock,
            wake=self.pacer.wake,
            log_capacity=settings.log_capacity,
            intervals={PRICE: settings.price_interval},
        )
        self.hub = Hub(
            self.book,
            clock=clock,
            wake=self.pacer.wake,
            stats=self.stats,
            limits=self.slab_limits,
            turn_bytes=settings.max_buffered_bytes // 2 or 32_768,
        )
        self.admission = Admission(
            settings, self.stats, clock, tokens.verifier(settings, time.time)
        )
        self.heartbeat = Heartbeat(clock, settings.ping_interval, settings.pong_timeout)
        self.replayer = Replayer(self.hub, Replay(lambda: self.feed, settings.stream))
        self.rejections = Rejections(self._client)
        self.gateway = self._make_gateway(clock)
        self._certificate = tls.certificate(settings.tls_cert, settings.tls_key)
        self.feed: Feed | None = None
        self.failed: asyncio.Future[BaseException] = loop.create_future()
        """Set where the service cannot go on; the error says why."""
        self._clock = clock
        self._nats_source = NatsSource(settings, self._spawn)
        self._tasks: list[asyncio.Task[object]] = []

    async def start(self) -> Addresses:
        """Start NATS where none is named or found, the feed, then the sockets.

        Comes back when the gateway listens; `ready` tells when it has its state. Raises NatsError
        and PortInUseError.
        """
        address = await self._nats_source.find()
        context = self._certificate.context if self._certificate else None
        host, port = await self.gateway.start(self.settings.host, self.settings.port, context)

        intake = Intake(self.book, self.stats, self.rejections.report)
        self.feed = Feed(
            # Looked for anew each time: the server that another gateway had started goes with it.
            Dialer(self._nats_source.find, name="percolator feed").dial,
            self.settings.stream,
            intake,
            backlog=self.settings.backlog,
            clock=self._clock,
        )
        self._metrics = Metrics(self._sources(self.feed))
        self._spawn(self.feed.run())
        return Addresses(host, port, address.shown, self._nats_source.data_dir)

    def reload_certificate(self) -> None:
        """Read the TLS certificate again, where there is one."""
        if self._certificate is not None:
            self._certificate.reload()

    async def ready(self) -> None:
        """Wait until everything that the stream held is loaded. Raises what makes it impossible."""
        assert self.feed is not None
        loaded = asyncio.ensure_future(self.feed.ready.wait())
        parts: list[asyncio.Future[Any]] = [loaded, self.failed]
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        loaded.cancel()
        if self.failed.done():
            raise self.failed.result()

    async def play_demo(self) -> None:
        """Play the recorded market through JetStream, for ever."""
        client = await connect(
            await self._nats_source.find(), name="percolator demo", reconnect=True
        )
        publisher = Publisher(client, self.settings.stream)

        async def publish(subject: str, payload: bytes) -> None:
            with contextlib.suppress(NatsError):  # NATS is down: the market goes on without us
                await publisher.publish(subject, payload)

        async def play() -> None:
            try:
                await recording.play(publish, loop=True)
            finally:
                await client.close()

        self._spawn(play())

    async def stop(self) -> None:
        """Let the clients go, then the feed, then NATS, all within `drain_seconds`."""
        drain = self.settings.drain_seconds
        until = self._clock() + drain
        if began := self.feed is not None and self.feed.loaded:
            logger.info("shutting down: %d clients are to go", self.admission.places.total)
        await self.gateway.stop(drain * CLIENTS_SHARE)
        self.pacer.stop()
        await self.replayer.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(until - self._clock(), LEAST_SECONDS))
        await self.rejections.stop()
        await self._nats_source.stop(max(until - self._clock(), LEAST_SECONDS))
        if began:
            logger.info("shut down")

    # The parts.

    def _make_gateway(self, clock: Callable[[], float]) -> Server:
        settings = self.settings
        context = SessionContext(
            hub=self.hub,
            stats=self.stats,
            clock=clock,
            wall=_wall_ms,
            messages_per_second=settings.messages_per_second,
            message_burst=settings.message_burst,
            replay_limit=settings.replay_limit,
            replayer=self.replayer.start,
        )

        def open_session(connection: Connection) -> ClientSession:
            token, connection.token = connection.token, None
            if not self.admission.auth_required:
                return ClientSession(context, connection)
            verify = partial(self.admission.verify, connection.address)
            return ClientSession(context, connection, verify, token)

        return Server(
            admission=self.admission,
            traffic=self.stats,
            heartbeat=self.heartbeat,
            limits=Limits(
                max_message_bytes=settings.max_message_bytes or None,
                max_buffered_bytes=settings.max_buffered_bytes or None,
                first_message_seconds=settings.subscribe_timeout or None,
                max_sockets=descriptors.take(settings.max_connections),
            ),
            clock=clock,
            open_session=open_session,
            routes=self._routes(),
            ready=lambda: self.feed is not None and self.feed.loaded,
        )

    def _routes(self) -> Routes:
        ok = HTTPStatus.OK
        return Routes(
            open_views={
                "/health": self._health,
                "/health/live": lambda: (ok, {"status": "ok"}),
            },
            counters={"/ws/stats": lambda: (ok, self.stats_view())},
            metrics=lambda: self._metrics.render(),  # noqa: PLW0108 - it is made at the start
            markets=partial(markets_view, self.hub),
            market=partial(market_view, self.hub),
            admission=self.admission,
            stats_token=self.settings.stats_token,
        )

    def _sources(self, feed: Feed) -> Sources:
        return Sources(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            admission=self.admission.places,
            slabs=self.slab_limits,
            heartbeat=self.heartbeat,
            replayer=self.replayer,
            feed=feed,
            flush_seconds=self.flush_seconds,
            flush_bytes=self.flush_bytes,
            loop_lag=self.gateway.loop_lag,
        )

    def stats_view(self) -> Data:
        """Give what `/ws/stats` shows."""
        assert self.feed is not None
        return stats_view(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            admission=self.admission.places,
            slabs=self.slab_limits,
            feed=self.feed,
            now=self._clock(),
        )

    def _health(self) -> tuple[HTTPStatus, Data]:
        assert self.feed is not None
        well, data = health_view(self.feed, _wall_ms(), draining=self.gateway.draining)
        return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, data

    def _client(self) -> Client | None:
        """Give the connection to NATS that is in use."""
        return self.feed.client if self.feed else None

    def _flush(self) -> bool:
        began, sent = self._clock(), self.stats.bytes_sent
        more = self.hub.flush()
        self.flush_seconds.add(self._clock() - began)
        self.flush_bytes.add(self.stats.bytes_sent - sent)
        return more

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        """Run a part for as long as the service runs; its failure is the service's."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)

        def ended(task: asyncio.Task[object]) -> None:
            if not task.cancelled() and (error := task.exception()) and not self.failed.done():
                self.failed.set_result(error)

        task.add_done_callback(ended)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
