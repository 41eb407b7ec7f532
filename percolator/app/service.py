"""The composition root: builds all parts, starts and stops them in order."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from percolator import histogram, logs
from percolator.app import demo, descriptors, retention
from percolator.app.feed_watch import FeedWatch
from percolator.app.history import HistoryPages
from percolator.app.intake import Intake
from percolator.app.markets import Markets
from percolator.app.metrics import Metrics, Sources
from percolator.app.nats_source import NatsSource
from percolator.app.pages import Pages, wall_ms
from percolator.app.price_history import PriceHistory
from percolator.app.projector import Projector
from percolator.app.rejections import Rejections
from percolator.app.replayer import Replayer
from percolator.app.routes import Routes
from percolator.app.summary import summary
from percolator.app.views import client_limits
from percolator.auth import tokens
from percolator.config.settings import Settings
from percolator.fanout.book import Book
from percolator.fanout.hub import Hub
from percolator.fanout.price_fold import PriceRule
from percolator.fanout.session import ClientSession, SessionContext
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway import tls
from percolator.gateway.admission import Admission
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.pacer import Pacer
from percolator.gateway.server import Limits, Server
from percolator.gateway.sweep import visit
from percolator.histogram import Histogram
from percolator.jetstream.connect import connect
from percolator.jetstream.dialer import Dialer
from percolator.jetstream.feed import Feed
from percolator.jetstream.replay import Replay
from percolator.jetstream.start import WithBacklog
from percolator.model.events import decoder
from percolator.model.kinds import PRICE
from percolator.stats import Stats

CLIENTS_SHARE = 0.8
"""Share of the shutdown time for closing clients; the rest is for the feed and for NATS."""
MIN_SECONDS = 0.25
"""Seconds that the feed and NATS each get to stop, even if clients took all of the time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway and its NATS are, once started."""

    host: str
    port: int
    nats: str
    data_dir: str | None
    """The data folder of the embedded NATS server; None if NATS is external."""


class Service:
    """A whole gateway: NATS, feed, hub and sockets."""

    def __init__(self, settings: Settings) -> None:
        """Build all parts; nothing runs before `start`. Raises SettingsError."""
        loop = asyncio.get_running_loop()
        self._clock = clock = loop.time
        self.settings = settings
        self.failed: asyncio.Future[BaseException] = loop.create_future()
        """Set if the service cannot continue; the result is the reason."""
        self._tasks: list[asyncio.Task[object]] = []
        self._certificate = tls.certificate(settings.tls_cert, settings.tls_key)
        # The core.
        self.stats = Stats(clock())
        self.flush_seconds = Histogram(histogram.SECONDS)
        self.flush_bytes = Histogram(histogram.BYTES)
        self.pacer = Pacer(loop, self._flush, lambda: self.book.due)
        price_rule = PriceRule(settings.max_price_jump, refuse_jumps=settings.reject_price_jump)
        self.book = Book(
            clock=clock,
            wake=self.pacer.wake,
            log_capacity=settings.log_capacity,
            intervals={PRICE: settings.price_interval},
            price_rule=price_rule,
        )
        self.slab_limits = SlabLimits(
            per_slab=settings.max_connections_per_slab,
            wildcards=settings.max_wildcard_connections,
            channels_per_client=settings.max_channels_per_client,
            retired=self.book.retired,
        )
        self.hub = Hub(
            self.book,
            clock=clock,
            wake=self.pacer.wake,
            stats=self.stats,
            limits=self.slab_limits,
            turn_bytes=settings.max_buffered_bytes // 2 or 32_768,
        )
        # The NATS side.
        self._nats_source = NatsSource(settings, self._spawn)
        # NATS is located for each connection: an embedded server that another gateway started ends
        # with that gateway.
        feed_dialer = Dialer(self._nats_source.find, name="percolator feed")
        replay_dialer = Dialer(self._nats_source.find, name="percolator replay")
        decode = decoder(require_slab=settings.require_slab)
        self.rejections = Rejections(lambda: self.feed.client, lambda: self.feed.epoch)
        histories = {PRICE: PriceHistory(price_rule, decode)}
        self.feed = Feed(
            feed_dialer.dial,
            settings.stream,
            Intake(self.book, self.stats, self.rejections.report, decode),
            start=WithBacklog(settings.stream, settings.backlog, decode, histories),
            clock=clock,
            create_stream=settings.create_stream,
        )
        self.feed_watch = FeedWatch(self.feed, wall_ms)
        self._history = Replay(lambda: self.feed, settings.stream, replay_dialer.dial)
        self.replayer = Replayer(self.hub, self._history, decode)
        self.projector = Projector(settings, self._nats_source.find)
        """Runs if the NATS server is embedded."""
        # The socket side.
        verifier = tokens.verifier(settings, time.time)
        self.admission = Admission(settings, self.stats, clock, verifier)
        self.heartbeat = Heartbeat(clock, settings.ping_interval, settings.pong_timeout)
        self.history_pages = HistoryPages.reading(self._history, self.book, settings, decode, clock)
        table = (*self._pages().table(), *self.history_pages.table())
        self.routes = Routes(table, self.admission, settings.stats_token)
        self.gateway = self._make_gateway()
        self._metrics = Metrics(self._sources())

    async def start(self) -> Addresses:
        """Locate or start NATS, listen, and start the feed.

        Returns once the gateway listens; `ready` waits for its state. Raises NatsError and
        PortInUseError.
        """
        address = await self._nats_source.find()
        context = self._certificate.context if self._certificate else None
        host, port = await self.gateway.start(self.settings.host, self.settings.port, context)
        self._spawn(self.feed.run())
        self._spawn(self.feed_watch.run(self.tell_feed))
        self._spawn(retention.follow(self.feed, self.book))
        if self._nats_source.data_dir is not None:
            self._spawn(self.projector.run_beside())
        return Addresses(host, port, address.shown, self._nats_source.data_dir)

    async def ready(self) -> None:
        """Wait until the stream's contents are loaded. Raises what makes that impossible."""
        loaded = asyncio.ensure_future(self.feed.ready.wait())
        parts: list[asyncio.Future[Any]] = [loaded, self.failed]
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        loaded.cancel()
        if self.failed.done():
            raise self.failed.result()

    async def play_demo(self) -> None:
        """Play the recorded market through JetStream, in a loop."""
        client = await connect(
            await self._nats_source.find(), name="percolator demo", reconnect=True
        )
        self._spawn(demo.play(client, self.settings.stream))

    async def stop(self) -> None:
        """Close the clients, then stop the feed, then NATS, all within `drain_seconds`."""
        drain = self.settings.drain_seconds
        until = self._clock() + drain
        if loaded := self.feed.loaded:
            logger.info("shutting down: closing %d clients", self.admission.places.total)
        await self.gateway.stop(drain * CLIENTS_SHARE)
        self.pacer.stop()
        await self.replayer.stop()
        await self._history.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(until - self._clock(), MIN_SECONDS))
        await self.rejections.stop()
        await self._nats_source.stop(max(until - self._clock(), MIN_SECONDS))
        if loaded:
            logger.info("shut down")

    async def tell_feed(self) -> None:
        """Send all clients whether NATS is heard."""
        await visit(self.gateway.connections, lambda session: session.tell_feed())

    # Called on signals.

    def reload_certificate(self) -> None:
        """Read the TLS certificate again, if there is one."""
        if self._certificate is not None:
            self._certificate.reload()

    def log_summary(self) -> None:
        """Log what the gateway is doing, in several lines."""
        for line in summary(self.hub, self.feed, self.replayer, self.gateway.connections):
            logger.info(line, extra=logs.UNLIMITED)

    # The parts.

    def _make_gateway(self) -> Server:
        settings = self.settings
        context = SessionContext(
            hub=self.hub,
            stats=self.stats,
            clock=self._clock,
            wall=wall_ms,
            limits=client_limits(settings),
            heartbeat_interval=settings.heartbeat_interval,
            stale_since=lambda: self.feed_watch.stale_since,
            replayer=self.replayer.start,
        )

        def open_session(connection: Connection) -> ClientSession:
            token, connection.token = connection.token, None
            if not self.admission.auth_required:
                return ClientSession(context, connection)
            verify = partial(self.gateway.verify, connection)
            return ClientSession(context, connection, verify, token)

        return Server(
            admission=self.admission,
            stats=self.stats,
            heartbeat=self.heartbeat,
            limits=Limits(
                max_message_bytes=settings.max_message_bytes or None,
                max_buffered_bytes=settings.max_buffered_bytes or None,
                first_message_seconds=settings.subscribe_timeout or None,
                max_sockets=descriptors.raise_limit(settings.max_connections),
            ),
            clock=self._clock,
            open_session=open_session,
            routes=self.routes,
            ready=lambda: self.feed.loaded,
        )

    def _pages(self) -> Pages:
        return Pages(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            markets=Markets(self.book),
            places=self.admission.places,
            slabs=self.slab_limits,
            feed=self.feed,
            rejections=self.rejections.kept,
            clock=self._clock,
            metrics=lambda: self._metrics.render(),  # noqa: PLW0108 - made after the gateway
            draining=lambda: self.gateway.draining,
        )

    def _sources(self) -> Sources:
        return Sources(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            admission=self.admission.places,
            slabs=self.slab_limits,
            heartbeat=self.heartbeat,
            replayer=self.replayer,
            answering=self.gateway.answering,
            feed=self.feed,
            feed_watch=self.feed_watch,
            projector=self.projector,
            flush_seconds=self.flush_seconds,
            flush_bytes=self.flush_bytes,
            loop_lag=self.gateway.sweep.loop_lag,
        )

    def _flush(self) -> bool:
        stats = self.stats
        began, messages, sent = self._clock(), stats.messages_sent, stats.bytes_sent
        more = self.hub.flush()
        seconds = self._clock() - began
        self.flush_seconds.add(seconds)
        self.flush_bytes.add(stats.bytes_sent - sent)
        if stats.messages_sent > messages and logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "flush: messages=%d bytes=%d ms=%.2f connections=%d",
                stats.messages_sent - messages,
                stats.bytes_sent - sent,
                seconds * 1_000,
                self.admission.places.total,
            )
        return more

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        """Run a part as long as the service runs; if it fails, the service has failed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)

        def ended(task: asyncio.Task[object]) -> None:
            if not task.cancelled() and (error := task.exception()) and not self.failed.done():
                self.failed.set_result(error)

        task.add_done_callback(ended)
