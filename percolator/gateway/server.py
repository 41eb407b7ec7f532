"""The server: admits connections, and closes them.

Counters, routes and sessions are passed in; it knows neither the hub nor NATS.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from websockets.http11 import Request, Response

from percolator.auth.tokens import Grant
from percolator.gateway import responses
from percolator.gateway.admission import Admission
from percolator.gateway.answering import Answering, Later
from percolator.gateway.answers import UnreadAnswers
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.listener import Listener
from percolator.gateway.parsing import ParsingTurns
from percolator.gateway.plain import UPGRADE_PATHS, PlainRequests
from percolator.gateway.ports import Routes, Session
from percolator.gateway.sockets import AcceptedSocket, Sockets
from percolator.gateway.sweep import Sweep
from percolator.model import closes, messages
from percolator.stats import Stats

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
    """Sockets in total. Past that, the oldest one that is not a client is closed."""


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
        routes: Routes,
        ready: Callable[[], bool],
    ) -> None:
        """Until `ready` returns True, clients are closed with 1013."""
        self.ids: Iterator[int] = itertools.count(1)
        self.stats = stats
        self.heartbeat = heartbeat
        self.clock = clock
        self.max_message_bytes = limits.max_message_bytes
        self.max_buffered_bytes = limits.max_buffered_bytes
        self.connections: dict[Connection, None] = {}
        self.draining = False
        """True once the shutdown has begun: no client is admitted any more."""
        self.parsing = ParsingTurns()
        self.answering: Answering[Connection] = Answering()
        self.sockets = Sockets(limits.max_sockets, admission.max_connections_per_ip)
        self.unread: UnreadAnswers[Connection] = UnreadAnswers()
        self._limits = limits
        self._admission = admission
        self._open_session = open_session
        self._plain = PlainRequests(admission, self.unread, routes)
        self._ready = ready
        self._full = False
        """True from the first refused socket until half of the sockets are free again."""
        self._listener = Listener(
            self.sockets,
            clock=clock,
            tiers_of=admission.tiers_of_peer,
            sends_header=admission.sends_proxy_header,
            refused=self._refused_socket,
            connect=self._connect,
        )
        self.sweep = Sweep(self, self._listener)
        self._sweeps: asyncio.Task[None] | None = None
        self._connection_lost = asyncio.Event()

    async def start(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Listen; return the bound host and port. Raises PortInUseError."""
        address = await self._listener.start(host, port, tls)
        self._sweeps = asyncio.get_running_loop().create_task(self.sweep.run())
        return address

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
        left = sum(each.upgraded for each in self.connections)
        if left:
            logger.info("%d clients did not close in time and are cut off", left)
        await self.answering.stop()
        for connection in list(self.connections):
            connection.terminate()
        await self._listener.stop()
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

    def connection_made(self, connection: Connection) -> None:
        """Register a new connection."""
        self.connections[connection] = None
        if connection.accepted is not None:
            connection.accepted.close = connection.terminate

    def process_request(self, connection: Connection, request: Request) -> Response | Later | None:
        """Return the response to a plain request or a refused upgrade, None to upgrade."""
        if connection.accepted is not None:
            self.sockets.requested(connection.accepted)
        if request.method not in responses.METHODS:
            return responses.wrong_method()
        path = request.path.partition("?")[0]
        path = path if path != "/ws/" else "/ws"
        forwarded = request.headers.get_all("X-Forwarded-For")
        connection.address = self._admission.address_key(connection.peer, forwarded)
        if path not in UPGRADE_PATHS or not responses.is_upgrade(request):
            return self._plain.answer(request, path, connection.address)
        if (refusal := self._check_upgrade(connection.address, request)) is not None:
            reason, response = refusal
            self._admission.refused(reason)
            return response
        if self.draining:
            return responses.shutting_down()
        connection.token = responses.token_of(request)
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
        if connection.accepted is not None:
            self.sockets.admitted(connection.accepted)
        seconds = self._limits.first_message_seconds
        connection.deadline = None if seconds is None else self.clock() + seconds
        self.heartbeat.add(connection)
        return self._open_session(connection)

    def connection_lost(self, connection: Connection) -> None:
        """Release everything that the connection held."""
        self.connections.pop(connection, None)
        if connection.accepted is not None:
            self.sockets.leave(connection.accepted)
        self.unread.forget(connection)
        self.parsing.forget(connection)
        self.answering.forget(connection)
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

    # Called by the sweep.

    def swept(self) -> None:
        """Forget old attempts, and note whether there is room for sockets again."""
        self._full = self._full and len(self.sockets) > self._limits.max_sockets // 2
        self._admission.sweep()

    # Called by the listener.

    def _connect(self, accepted: AcceptedSocket) -> Connection:
        connection = Connection(self)
        connection.accepted = accepted
        return connection

    def _refused_socket(self, limit: str) -> None:
        self._admission.refused(limit)
        if self.sockets.is_full and not self._full:
            self._full = True
            logger.warning(
                "all %d sockets that the file descriptor limit allows are in use; new ones are "
                "refused: raise the limit (ulimit -n) or lower max_connections",
                len(self.sockets),
            )
