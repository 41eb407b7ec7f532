"""The server: listens, admits connections, sweeps them, and closes them.

Counters, routes and sessions are passed in; it knows neither the hub nor NATS.
"""

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Request, Response

from percolator.auth.tokens import Grant
from percolator.errors import PortInUseError
from percolator.gateway import responses
from percolator.gateway.admission import Admission
from percolator.gateway.answers import UnreadAnswers
from percolator.gateway.connection import CLOSE_SECONDS, HEAD_SECONDS, Connection
from percolator.gateway.heartbeat import TICK_SECONDS, Heartbeat
from percolator.gateway.ports import Session
from percolator.histogram import SECONDS, Histogram
from percolator.model import closes, messages
from percolator.stats import Stats

UPGRADE_PATHS = ("/", "/ws")
LISTEN_BACKLOG = 4_096
"""Connections that the kernel queues: all clients may come back at once."""
ACCEPTS_AT_ONCE = 32
"""Sockets accepted per turn of the loop. Refusing one takes three turns, and meanwhile it has a
descriptor: with more of them, none would be left."""
PROBES = ("/health", "/health/live")
"""Paths without limits: a load balancer shares its address with clients, and knows no host name."""
SWEEP_SECONDS = 1.0
"""Seconds between two checks of all deadlines."""
CLOSE_BATCHES = 20
"""Batches in which a shutdown closes all clients."""
BATCH_SECONDS = 0.05
"""Maximum seconds between two batches."""
SPREAD_SECONDS_PER_CLIENT = 0.005
"""Seconds per client over which a shutdown spreads their return: several times a handshake."""
MAX_SPREAD_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateway's own limits; None switches one off."""

    max_message_bytes: int | None
    max_buffered_bytes: int | None
    first_message_seconds: float | None
    max_sockets: int
    """Sockets in total. Past that, the slowest one without a complete request is closed."""


class Server:
    """All connections of one listening socket; the `ConnectionHost` of each."""

    def __init__(
        self,
        *,
        admission: Admission,
        stats: Stats,
        heartbeat: Heartbeat,
        limits: Limits,
        clock: Callable[[], float],
        open_session: Callable[[Connection], Session],
        routes: Callable[[Request, str, str], Response | None],
        ready: Callable[[], bool],
    ) -> None:
        """`routes` returns the response to a GET, given its path and the client's address.

        Until `ready` returns True, clients are closed with 1013.
        """
        self.ids: Iterator[int] = itertools.count(1)
        self.stats = stats
        self.heartbeat = heartbeat
        self.clock = clock
        self.max_message_bytes = limits.max_message_bytes
        self.max_buffered_bytes = limits.max_buffered_bytes
        self.connections: dict[Connection, None] = {}
        self.loop_lag = Histogram(SECONDS)
        """Seconds by which ticks were late."""
        self.draining = False
        """True once the shutdown has begun: no client is admitted any more."""
        self._without_request: dict[Connection, None] = {}
        """Connections whose request head is incomplete, the slowest first."""
        self.unread: UnreadAnswers[Connection] = UnreadAnswers()
        self._limits = limits
        self._admission = admission
        self._open_session = open_session
        self._routes = routes
        self._ready = ready
        self._full = False
        """True from the first refused socket until half of the sockets are free again."""
        self._server: asyncio.Server | None = None
        self._sweeps: asyncio.Task[None] | None = None
        self._connection_lost = asyncio.Event()

    async def start(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Listen; return the bound host and port. Raises PortInUseError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self),
                host,
                port,
                backlog=ACCEPTS_AT_ONCE,
                ssl=tls,
                ssl_handshake_timeout=HEAD_SECONDS if tls else None,
                ssl_shutdown_timeout=CLOSE_SECONDS if tls else None,
            )
        except OSError as error:
            raise PortInUseError(
                f"the gateway cannot listen on {host}:{port} ({_plain(error)}): {_remedy(error)}"
            ) from None
        for each in self._server.sockets:
            _lengthen_queue(each)
        self._sweeps = loop.create_task(self._sweep())
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self, drain_seconds: float) -> None:
        """Announce the shutdown, close all clients in batches with 1001, and wait for them.

        Meanwhile plain requests are answered, so that a load balancer sees that this gateway admits
        no more clients. Afterwards nothing listens and no client is connected.
        """
        self.draining = True
        until = self.clock() + drain_seconds
        clients = [each for each in self.connections if each.is_open]
        spread = min(MAX_SPREAD_SECONDS, len(clients) * SPREAD_SECONDS_PER_CLIENT)
        for client in clients:
            delay_ms = random.randint(0, int(spread * 1_000))  # noqa: S311 - not a secret
            client.reply(messages.closing(delay_ms))
        size = len(clients) // CLOSE_BATCHES + 1
        for start in range(0, len(clients), size):
            for client in clients[start : start + size]:
                client.close(closes.CLOSE_SHUTDOWN)
            await asyncio.sleep(min(BATCH_SECONDS, drain_seconds / CLOSE_BATCHES / 2))
        await self._until_clients_gone(until)
        if self._server is not None:
            self._server.close()
        left = sum(each.upgraded for each in self.connections)
        if left:
            logger.info("%d clients did not close in time and are cut off", left)
        for connection in list(self.connections):
            connection.terminate()
        if self._sweeps is not None:
            self._sweeps.cancel()
            await asyncio.gather(self._sweeps, return_exceptions=True)
        await asyncio.sleep(0)

    async def _until_clients_gone(self, until: float) -> None:
        """Wait for all clients to disconnect; plain requests are not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - self.clock(), 0)):
                while any(each.upgraded for each in self.connections):
                    self._connection_lost.clear()
                    await self._connection_lost.wait()

    # Called by connections.

    def connection_made(self, connection: Connection) -> bool:
        """Register a new socket; if all are taken, the slowest without a request makes room."""
        if len(self.connections) >= self._limits.max_sockets:
            self._admission.refused("sockets")
            self._warn_full()
            slowest = next(iter(self._without_request), None)
            if slowest is None:
                return False
            self._without_request.pop(slowest)
            slowest.terminate()
        self.connections[connection] = self._without_request[connection] = None
        return True

    def _warn_full(self) -> None:
        if not self._full:
            self._full = True
            logger.warning(
                "all %d sockets that the file descriptor limit allows are in use; new ones are "
                "refused: raise the limit (ulimit -n) or lower max_connections",
                len(self.connections),
            )

    def process_request(self, connection: Connection, request: Request) -> Response | None:
        """Return the response to a plain request or a refused upgrade, None to upgrade."""
        self._without_request.pop(connection, None)
        path = request.path.partition("?")[0]
        if request.method != "GET":
            return responses.wrong_method()
        forwarded = request.headers.get_all("X-Forwarded-For")
        connection.address = self._admission.address_key(connection.peer, forwarded)
        upgrade = responses.is_upgrade(request) and path in UPGRADE_PATHS
        if upgrade or path not in PROBES:
            check = self._check_upgrade if upgrade else self._check_request
            if (refusal := check(connection.address, request)) is not None:
                reason, response = refusal
                self._admission.refused(reason)
                return response
        if not upgrade:
            return self._routes(request, path, connection.address) or responses.not_found()
        if self.draining:
            return responses.sentence(
                HTTPStatus.SERVICE_UNAVAILABLE, "The gateway is shutting down."
            )
        connection.token = responses.token_of(request)
        return None

    def _check_request(self, address: str, request: Request) -> tuple[str, Response] | None:
        """Return why a plain request is refused, and with which response."""
        if not self._admission.request(address):
            return "requests", responses.too_many_requests()
        if not self._admission.host_allowed(request.headers.get_all("Host")):
            return "host", responses.foreign_host()
        return None

    def _check_upgrade(self, address: str, request: Request) -> tuple[str, Response] | None:
        """Return why an upgrade is refused, and with which response."""
        admission, headers = self._admission, request.headers
        if not admission.attempt(address):
            return "attempts", responses.too_many_attempts()
        if not admission.host_allowed(headers.get_all("Host")):
            return "host", responses.foreign_host()
        if not admission.origin_allowed(headers.get_all("Origin")):
            return "origin", responses.foreign_origin()
        if not admission.token_allowed(address, responses.token_of(request)):
            return "wrong tokens", responses.too_many_wrong_tokens()
        return None

    def admit(self, connection: Connection) -> Session | closes.Close:
        """Reserve a place and return the session, or the reason to close."""
        if not self._ready():
            self._admission.refused("not ready")
            return closes.CLOSE_NOT_READY
        refusal = self._admission.admit(connection.address)
        if refusal is not None:
            self._admission.refused(refusal.reason)
            return refusal
        connection.admitted = True
        seconds = self._limits.first_message_seconds
        connection.deadline = None if seconds is None else self.clock() + seconds
        self.heartbeat.add(connection)
        return self._open_session(connection)

    def connection_lost(self, connection: Connection) -> None:
        """Release everything that the connection held."""
        self.connections.pop(connection, None)
        self._without_request.pop(connection, None)
        self.unread.forget(connection)
        self._connection_lost.set()
        if connection.admitted:
            self._admission.release(connection.address)
        if connection.upgraded:
            self._admission.closed(connection.close_code)

    def answered(self, connection: Connection, unread: int) -> None:
        """Count the bytes of an answer that its client has not read yet; too many end others."""
        for each in self.unread.add(connection, connection.address, unread):
            self._admission.refused("unread answers")
            each.terminate()

    def verify(self, connection: Connection, token: str) -> Grant | None:
        """Return what a client's token allows; after too many wrong ones, the next also ends it."""
        grant = self._admission.verify(token)
        if grant is None and self._admission.failed(connection.address):
            connection.end_at(self.clock(), closes.CLOSE_WRONG_TOKENS)
        return grant

    # The sweep.

    async def _sweep(self) -> None:
        """Run the heartbeat ten times per second, and check deadlines once."""
        loop = asyncio.get_running_loop()
        due = sweep_at = loop.time()
        while True:
            due = max(due + TICK_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            self.loop_lag.add(loop.time() - due)
            self.heartbeat.tick()
            if loop.time() >= sweep_at:
                sweep_at = loop.time() + SWEEP_SECONDS
                self._expire()
                self._admission.sweep()

    def _expire(self) -> None:
        now = self.clock()
        self._full = self._full and len(self.connections) > self._limits.max_sockets // 2
        expired = [each for each in self.connections if each.past_deadline(now)]
        for connection in expired:
            connection.expired()


def _plain(error: OSError) -> str:
    """Return the system's own words, without what asyncio adds to them."""
    if isinstance(error, socket.gaierror):  # its numbers are not errnos
        return str(error.strerror)
    return os.strerror(error.errno) if error.errno else str(error)


def _remedy(error: OSError) -> str:
    """Return what to do: change the port if it is taken or reserved, else the address."""
    if error.errno == errno.EADDRINUSE:
        return "stop what is listening there, or choose another port with --port"
    return f"choose another with {'--port' if error.errno == errno.EACCES else '--host'}"


def _lengthen_queue(listening: socket.socket) -> None:
    """Queue more connections than are accepted at once; asyncio has one number for both."""
    with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
        same.listen(LISTEN_BACKLOG)
