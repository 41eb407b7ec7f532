"""The gateway: listens, lets connections in, sweeps them, and lets them go.

What is counted and what is served is given to it; it knows neither hub nor NATS.
"""

import asyncio
import contextlib
import logging
import os
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from websockets.http11 import Request, Response

from percolator import protocol
from percolator.errors import PortInUseError
from percolator.gateway import http
from percolator.gateway.connection import CLOSE_SECONDS, HEAD_SECONDS, Connection, Session, Traffic
from percolator.gateway.heartbeat import TICK_SECONDS, Heartbeat
from percolator.histogram import SECONDS, Histogram

UPGRADE_PATHS = ("/", "/ws")
LISTEN_BACKLOG = 4_096
SWEEP_SECONDS = 1.0

log = logging.getLogger(__name__)


class Guard(Protocol):
    """Who may come in. Every reserved place is released, once."""

    def address_key(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Whom a connection is counted for."""

    def attempt(self, address: str) -> bool:
        """Count an attempt to connect; False where it is one too many."""

    def welcomes(self, origins: Sequence[str]) -> bool:
        """Whether a page of such an origin may connect; who names none is no browser."""

    def admit(self, address: str) -> protocol.Close | None:
        """Reserve a place, or say why there is none."""

    def release(self, address: str) -> None:
        """Give a place back."""

    def refused(self, reason: str) -> None:
        """Count a connection that was not let in."""

    def closed(self, code: int) -> None:
        """Count a connection that ended."""

    def sweep(self) -> None:
        """Called about once a second."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateway's own limits; None is switched off."""

    max_message_bytes: int | None
    max_buffered_bytes: int | None
    first_message_seconds: float | None
    max_sockets: int
    """All sockets together; past that the one that has been longest about its request head goes."""


class Gateway:
    """All connections of one listening socket. The gateway is what they call their doors."""

    def __init__(
        self,
        *,
        guard: Guard,
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
        self._guard = guard
        self._open_session = open_session
        self._routes = routes
        self._ready = ready
        self._server: asyncio.Server | None = None
        self._sweeps: asyncio.Task[None] | None = None
        self._draining = False
        self._empty = asyncio.Event()

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
                backlog=LISTEN_BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=HEAD_SECONDS if tls else None,
                ssl_shutdown_timeout=CLOSE_SECONDS if tls else None,
            )
        except OSError as error:
            raise PortInUseError(
                f"the gateway cannot listen on {host}:{port} ({_plain(error)}): "
                "stop what is there, or choose another with --port"
            ) from None
        self._sweeps = loop.create_task(self._sweep())
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self, drain_seconds: float) -> None:
        """Announce the end, close all in batches with 1001, and wait for them, bounded."""
        self._draining = True
        loop = asyncio.get_running_loop()
        if self._server is not None:
            self._server.close()
        until = loop.time() + drain_seconds
        clients = [each for each in self.connections if each.is_open]
        for client in clients:
            client.reply(protocol.closing(random.randint(0, 5_000)))  # noqa: S311 - a spread, no secret
        batch = max(1, len(clients) // 20)
        for start in range(0, len(clients), batch):
            for client in clients[start : start + batch]:
                client.close(protocol.CLOSE_SHUTDOWN)
            await asyncio.sleep(min(0.05, drain_seconds / 40))
        self._empty.clear()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), max(until - loop.time(), 0))
        for client in list(self.connections):
            client.terminate()
        if self._sweeps is not None:
            self._sweeps.cancel()
            await asyncio.gather(self._sweeps, return_exceptions=True)
        await asyncio.sleep(0)

    # What connections ask of it.

    def arrived(self, connection: Connection) -> bool:
        """Take a new socket in; where all places are taken, the slowest to ask loses its own."""
        if len(self.connections) >= self._limits.max_sockets:
            self._guard.refused("sockets")
            slowest = next(iter(self._asking), None)
            if slowest is None:
                return False
            self._asking.pop(slowest)
            slowest.terminate()
        self.connections[connection] = self._asking[connection] = None
        return True

    def requested(self, connection: Connection, request: Request) -> Response | None:
        """Answer a plain request, or refuse an upgrade; None lets the upgrade go on."""
        self._asking.pop(connection, None)
        path = request.path.partition("?")[0]
        if request.method != "GET":
            return http.wrong_method()
        forwarded = request.headers.get_all("X-Forwarded-For")
        connection.address = self._guard.address_key(connection.peer, forwarded)
        if not http.is_upgrade(request) or path not in UPGRADE_PATHS:
            return self._routes(request, path, connection.address) or http.not_found()
        if not self._guard.attempt(connection.address):
            self._guard.refused("attempts")
            return http.too_many_attempts()
        if not self._guard.welcomes(request.headers.get_all("Origin")):
            self._guard.refused("origin")
            return http.foreign_origin()
        if self._draining:
            return http.sentence(HTTPStatus.SERVICE_UNAVAILABLE, "The gateway is shutting down.")
        connection.token = http.token_of(request)
        return None

    def admit(self, connection: Connection) -> Session | protocol.Close:
        """Reserve a place and give the session to talk to, or say why there is none."""
        if not self._ready():
            self._guard.refused("not ready")
            return protocol.CLOSE_NOT_READY
        refusal = self._guard.admit(connection.address)
        if refusal is not None:
            self._guard.refused(refusal.reason)
            return refusal
        connection.admitted = True
        seconds = self._limits.first_message_seconds
        connection.deadline = None if seconds is None else self.clock() + seconds
        self.heartbeat.add(connection)
        return self._open_session(connection)

    def left(self, connection: Connection) -> None:
        """Give back everything that the connection held."""
        self.connections.pop(connection, None)
        self._asking.pop(connection, None)
        if not self.connections:
            self._empty.set()
        if connection.admitted:
            self._guard.release(connection.address)
        if connection.upgraded:
            self._guard.closed(connection.close_code)

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
                self._guard.sweep()

    def _expire(self) -> None:
        now = self.clock()
        late = [each for each in self.connections if each.is_late(now)]
        for connection in late:
            connection.expired()


def _plain(error: OSError) -> str:
    """Say what the system said, without what asyncio puts around it."""
    return os.strerror(error.errno) if error.errno else str(error)
