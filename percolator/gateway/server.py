"""The gateway: listens, lets connections in, sweeps them, and lets them go.

What is counted and what is served is given to it; it knows neither hub nor NATS.
"""

import asyncio
import contextlib
import errno
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from websockets.http11 import Request, Response

from percolator.errors import PortInUseError
from percolator.gateway import responses
from percolator.gateway.admission import Admission
from percolator.gateway.connection import CLOSE_SECONDS, HEAD_SECONDS, Connection
from percolator.gateway.heartbeat import TICK_SECONDS, Heartbeat
from percolator.gateway.ports import Session, Traffic
from percolator.histogram import SECONDS, Histogram
from percolator.model import closes, messages

UPGRADE_PATHS = ("/", "/ws")
LISTEN_BACKLOG = 4_096
"""Clients that the kernel lets wait: all of them may come back at once."""
ACCEPTS_AT_ONCE = 32
"""So many are taken in one turn of the loop. It takes three turns to refuse one, and meanwhile it
has a descriptor: with more of them, none would be left."""
SWEEP_SECONDS = 1.0
BATCHES = 20
BATCH_SECONDS = 0.05
"""All clients are closed in so many batches, so far apart at the most."""
SPREAD_SECONDS_EACH = 0.005
LONGEST_SPREAD_SECONDS = 5.0
"""They are asked to come back over so much time: what their handshakes take, several times over."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateway's own limits; None is switched off."""

    max_message_bytes: int | None
    max_buffered_bytes: int | None
    first_message_seconds: float | None
    max_sockets: int
    """All sockets together; past that the one that has been longest about its request head goes."""


class Server:
    """All connections of one listening socket. The gateway is what they call their doors."""

    def __init__(
        self,
        *,
        admission: Admission,
        traffic: Traffic,
        heartbeat: Heartbeat,
        limits: Limits,
        clock: Callable[[], float],
        open_session: Callable[[Connection], Session],
        routes: Callable[[Request, str, str], Response | None],
        ready: Callable[[], bool],
    ) -> None:
        """`routes` answers a GET of a path from an address, or None.

        Until `ready`, upgrades get 1013.
        """
        self.traffic = traffic
        self.heartbeat = heartbeat
        self.clock = clock
        self.max_message_bytes = limits.max_message_bytes
        self.max_buffered_bytes = limits.max_buffered_bytes
        self.connections: dict[Connection, None] = {}
        self._asking: dict[Connection, None] = {}
        """Those whose request is not there yet, the slowest first."""
        self.loop_lag = Histogram(SECONDS)
        """How late the sweeps were."""
        self._limits = limits
        self._admission = admission
        self._open_session = open_session
        self._routes = routes
        self._ready = ready
        self._full = False
        """True from the first socket that was refused until half of them are free again."""
        self._server: asyncio.Server | None = None
        self._sweeps: asyncio.Task[None] | None = None
        self.draining = False
        """True once it is to end: nobody is let in any more."""
        self._left = asyncio.Event()

    async def start(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Listen; give the address that it got. Raises PortInUseError."""
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
        """Announce the end, close all in batches with 1001, and wait for them, bounded.

        Meanwhile plain requests are answered, so that whoever balances the load sees that this
        gateway takes nobody in any more; at the end nothing listens and nobody is connected.
        """
        self.draining = True
        until = self.clock() + drain_seconds
        clients = [each for each in self.connections if each.is_open]
        spread = int(min(LONGEST_SPREAD_SECONDS, len(clients) * SPREAD_SECONDS_EACH) * 1_000)
        for client in clients:
            client.reply(messages.closing(random.randint(0, spread)))  # noqa: S311 - no secret
        batch = len(clients) // BATCHES + 1
        for start in range(0, len(clients), batch):
            for client in clients[start : start + batch]:
                client.close(closes.CLOSE_SHUTDOWN)
            await asyncio.sleep(min(BATCH_SECONDS, drain_seconds / BATCHES / 2))
        await self._until_gone(until)
        if self._server is not None:
            self._server.close()
        left = sum(each.upgraded for each in self.connections)
        if left:
            logger.info("%d clients have not closed in time and are cut off", left)
        for connection in list(self.connections):
            connection.terminate()
        if self._sweeps is not None:
            self._sweeps.cancel()
            await asyncio.gather(self._sweeps, return_exceptions=True)
        await asyncio.sleep(0)

    async def _until_gone(self, until: float) -> None:
        """Wait until all clients have gone, or it is time; plain requests are not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - self.clock(), 0)):
                while any(each.upgraded for each in self.connections):
                    self._left.clear()
                    await self._left.wait()

    def _say_full(self) -> None:
        if not self._full:
            self._full = True
            logger.warning(
                "all %d sockets that the file descriptors allow are taken, and new ones are "
                "refused: raise the limit (ulimit -n) or lower max_connections",
                len(self.connections),
            )

    # What connections ask of it.

    def connection_made(self, connection: Connection) -> bool:
        """Take a new socket in; where all places are taken, the slowest to ask loses its own."""
        if len(self.connections) >= self._limits.max_sockets:
            self._admission.refused("sockets")
            self._say_full()
            slowest = next(iter(self._asking), None)
            if slowest is None:
                return False
            self._asking.pop(slowest)
            slowest.terminate()
        self.connections[connection] = self._asking[connection] = None
        return True

    def process_request(self, connection: Connection, request: Request) -> Response | None:
        """Answer a plain request, or refuse an upgrade; None lets the upgrade go on."""
        self._asking.pop(connection, None)
        path = request.path.partition("?")[0]
        if request.method != "GET":
            return responses.wrong_method()
        forwarded = request.headers.get_all("X-Forwarded-For")
        connection.address = self._admission.address_key(connection.peer, forwarded)
        if not responses.is_upgrade(request) or path not in UPGRADE_PATHS:
            return self._routes(request, path, connection.address) or responses.not_found()
        if not self._admission.attempt(connection.address):
            self._admission.refused("attempts")
            return responses.too_many_attempts()
        if not self._admission.origin_allowed(request.headers.get_all("Origin")):
            self._admission.refused("origin")
            return responses.foreign_origin()
        if self.draining:
            return responses.sentence(
                HTTPStatus.SERVICE_UNAVAILABLE, "The gateway is shutting down."
            )
        connection.token = responses.token_of(request)
        return None

    def admit(self, connection: Connection) -> Session | closes.Close:
        """Reserve a place and give the session to talk to, or say why there is none."""
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
        """Give back everything that the connection held."""
        self.connections.pop(connection, None)
        self._asking.pop(connection, None)
        self._left.set()
        if connection.admitted:
            self._admission.release(connection.address)
        if connection.upgraded:
            self._admission.closed(connection.close_code)

    async def _sweep(self) -> None:
        """Heartbeats ten times a second, deadlines once."""
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
        late = [each for each in self.connections if each.past_deadline(now)]
        for connection in late:
            connection.expired()


def _plain(error: OSError) -> str:
    """Say what the system said, without what asyncio puts around it."""
    if isinstance(error, socket.gaierror):  # its numbers are not the system's
        return str(error.strerror)
    return os.strerror(error.errno) if error.errno else str(error)


def _remedy(error: OSError) -> str:
    """Say what to do: it is the port where that is taken or reserved, else the address."""
    if error.errno == errno.EADDRINUSE:
        return "stop what is there, or choose another with --port"
    return f"choose another with {'--port' if error.errno == errno.EACCES else '--host'}"


def _lengthen_queue(listening: socket.socket) -> None:
    """Let more clients wait than are taken at once; for asyncio the two are one number."""
    with socket.fromfd(listening.fileno(), listening.family, listening.type) as same:
        same.listen(LISTEN_BACKLOG)
