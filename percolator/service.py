"""The composition root: what is started, in which order, and stopped. Here the wings meet."""

import asyncio
import contextlib
import json
import logging
import resource
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import nats.errors
from nats.aio.client import Client

from percolator import auth, tape
from percolator.backfill import Backfill
from percolator.errors import NatsError, NatsUnreachableError
from percolator.events import REJECTED_SUBJECT
from percolator.fanout.hub import Hub
from percolator.fanout.limits import SlabLimits
from percolator.fanout.session import ClientSession, SessionContext
from percolator.fanout.stats import Stats
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.pacer import Pacer
from percolator.gateway.server import Gateway, Limits
from percolator.guard import Guard
from percolator.intake import Intake
from percolator.jetstream import embedded
from percolator.jetstream.connect import NatsAddress, connect
from percolator.jetstream.feed import Feed
from percolator.jetstream.publisher import Publisher
from percolator.jetstream.replay import Replay
from percolator.routes import Routes
from percolator.settings import Settings
from percolator.views import Data, health_view, market_view, markets_view, stats_view

DEFAULT_NATS = "nats://127.0.0.1:4222"
SPARE_DESCRIPTORS = 64
"""Left free for NATS, files and the listening socket."""
REPORTS_IN_FLIGHT = 1_000

log = logging.getLogger(__name__)


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
        self.pacer = Pacer(loop, self._flush, lambda: self.hub.due)
        self.hub = Hub(
            clock=clock,
            wake=self.pacer.wake,
            stats=self.stats,
            limits=self.slab_limits,
            log_capacity=settings.log_capacity,
            price_interval=settings.price_interval,
            turn_bytes=settings.max_buffered_bytes // 2 or 32_768,
        )
        self.guard = Guard(settings, self.stats, clock, auth.verifier(settings, time.time))
        self.heartbeat = Heartbeat(clock, settings.ping_interval, settings.pong_timeout)
        source = Replay(lambda: self.feed.client if self.feed else None, settings.stream)
        self.backfill = Backfill(self.hub, source)
        self.gateway = self._make_gateway(clock)
        self.feed: Feed | None = None
        self.failed: asyncio.Future[BaseException] = loop.create_future()
        """Set where the service cannot go on; the error says why."""
        self._clock = clock
        self._embedded: embedded.EmbeddedNats | None = None
        self._tasks: list[asyncio.Task[object]] = []
        self._reports: set[asyncio.Task[None]] = set()

    async def start(self) -> Addresses:
        """Start NATS where none is named or found, the feed, then the sockets.

        Comes back when the gateway listens; `ready` tells when it has its state. Raises NatsError
        and PortInUseError.
        """
        _raise_descriptor_limit(self.settings.max_connections)
        address = await self._find_nats()
        host, port = await self.gateway.start(self.settings.host, self.settings.port)

        async def connect_feed(closed: Callable[[], Awaitable[None]]) -> Client:
            # Looked for anew each time: the server that another gateway had started goes with it.
            address = await self._find_nats()
            return await connect(address, name="percolator feed", reconnect=False, closed=closed)

        intake = Intake(self.hub, self.stats, self._clock, self._report)
        self.feed = Feed(
            connect_feed,
            self.settings.stream,
            intake,
            backlog=self.settings.backlog,
            clock=self._clock,
        )
        self._spawn(self.feed.run())
        data_dir = str(self._embedded.data_dir) if self._embedded else None
        return Addresses(host, port, address.shown, data_dir)

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
        client = await connect(await self._find_nats(), name="percolator demo", reconnect=True)
        publisher = Publisher(client, self.settings.stream)

        async def publish(subject: str, payload: bytes) -> None:
            with contextlib.suppress(NatsError):  # NATS is down: the market goes on without us
                await publisher.publish(subject, payload)

        async def play() -> None:
            try:
                await tape.play(publish, loop=True)
            finally:
                await client.close()

        self._spawn(play())

    async def stop(self) -> None:
        """Let the clients go, then the feed, then NATS."""
        await self.gateway.stop(self.settings.drain_seconds)
        self.pacer.stop()
        await self.backfill.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._reports, return_exceptions=True)
        if self._embedded is not None:
            await self._embedded.stop()

    # The parts.

    def _make_gateway(self, clock: Callable[[], float]) -> Gateway:
        settings = self.settings
        context = SessionContext(
            hub=self.hub,
            stats=self.stats,
            clock=clock,
            wall=_wall_ms,
            messages_per_second=settings.messages_per_second,
            message_burst=settings.message_burst,
            replay_limit=settings.replay_limit,
            backfill=self.backfill.start,
        )

        def open_session(connection: Connection) -> ClientSession:
            token, connection.token = connection.token, None
            if not self.guard.asks_for_tokens:
                return ClientSession(context, connection)
            verify = partial(self.guard.verify, connection.address)
            return ClientSession(context, connection, verify, token)

        return Gateway(
            guard=self.guard,
            traffic=self.stats,
            heartbeat=self.heartbeat,
            limits=Limits(
                max_message_bytes=settings.max_message_bytes or None,
                max_buffered_bytes=settings.max_buffered_bytes or None,
                first_message_seconds=settings.subscribe_timeout or None,
                max_sockets=_descriptor_limit() - SPARE_DESCRIPTORS,
            ),
            clock=clock,
            open_session=open_session,
            routes=self._routes(),
            ready=lambda: self.feed is not None and self.feed.loaded,
        )

    def _routes(self) -> Routes:
        ok = HTTPStatus.OK
        views = {
            "/ws/stats": lambda: (ok, self.stats_view()),
            "/health": self._health,
            "/health/live": lambda: (ok, {"status": "ok"}),
            "/markets": lambda: (ok, markets_view(self.hub)),
        }
        return Routes(views, lambda slab: market_view(self.hub, slab))

    def stats_view(self) -> Data:
        """Give what `/ws/stats` shows."""
        assert self.feed is not None
        return stats_view(
            settings=self.settings,
            stats=self.stats,
            hub=self.hub,
            admission=self.guard.admission,
            slabs=self.slab_limits,
            feed=self.feed,
            now=self._clock(),
        )

    def _health(self) -> tuple[HTTPStatus, Data]:
        assert self.feed is not None
        well, data = health_view(self.feed, _wall_ms())
        return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, data

    def _flush(self) -> bool:
        return self.hub.flush()

    async def _find_nats(self) -> NatsAddress:
        """Take the NATS that is named, else the one that answers here, else start our own."""
        settings = self.settings
        url = settings.nats_url or (self._embedded and self._embedded.url)
        if not url:
            if not await embedded.answers(DEFAULT_NATS):
                self._embedded = await embedded.start(settings.data_dir.expanduser())
                self._spawn(self._watch_embedded(self._embedded))
                url = self._embedded.url
            else:
                url = DEFAULT_NATS
        token = settings.nats_token
        return NatsAddress(
            url,
            settings.nats_creds,
            token.get_secret_value() if token else None,
            settings.nats_tls_ca,
        )

    async def _watch_embedded(self, server: embedded.EmbeddedNats) -> None:
        code = await server.wait()
        raise NatsUnreachableError(f"the embedded nats-server has ended, with exit code {code}")

    def _report(self, seq: int, subject: str, reason: str) -> None:
        """Publish a rejection, if NATS takes it: it is news, and not worth waiting for."""
        client = self.feed.client if self.feed else None
        if client is None or len(self._reports) >= REPORTS_IN_FLIGHT:
            return
        body = json.dumps({"seq": seq, "subject": subject[:256], "reason": reason}).encode()

        async def publish() -> None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await client.publish(REJECTED_SUBJECT, body)

        task = asyncio.get_running_loop().create_task(publish())
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

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


def _descriptor_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _raise_descriptor_limit(wanted: int) -> None:
    """Take as many descriptors as the system gives, and say where that is too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < wanted + SPARE_DESCRIPTORS:
        log.warning(
            "max_connections is %d, but the system gives this process %d file descriptors: "
            "raise its limit (ulimit -n) or lower the setting",
            wanted,
            hard,
        )
