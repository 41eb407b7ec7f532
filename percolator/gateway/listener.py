"""The listener: from a listening socket to connections, with TLS or without.

A socket is counted as soon as it is accepted, and until its client's first byte it costs nothing
else: no transport, no connection and no TLS, whose buffers take 300 KB. Then it waits for its turn:
each turn of the loop begins one connection, so that a flood of them delays clients by little, and
TLS handshakes have a limit in total and per network.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from percolator.fair_queue import FairQueue
from percolator.gateway import binding, connection, proxy_header
from percolator.gateway.addresses import Tier
from percolator.gateway.proxy_header import ProxyHeaderError
from percolator.gateway.sockets import AcceptedSocket, Sockets

ACCEPTS_AT_ONCE = 8
"""Sockets accepted per turn of the loop. To make room for one, another is closed, which may take
three turns, and meanwhile has a descriptor: with more of them, none would be left."""
PAUSE_SECONDS = 1.0
"""Seconds without accepting after the system could not: its limits are not this process's own."""
MAX_HANDSHAKES = 256
"""TLS handshakes at once: up to 80 MB."""
HANDSHAKES_PER_NETWORK = 8
"""TLS handshakes at once per address, or per /48 of IPv6."""
SLOW_HANDSHAKE_SECONDS = 2.0
"""Age at which a handshake is cut off if others wait for its place."""

logger = logging.getLogger(__name__)


class Listener:
    """Accepts sockets, and makes a connection of each that sends something."""

    _loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        sockets: Sockets,
        *,
        clock: Callable[[], float],
        tiers_of: Callable[[str], Sequence[Tier]],
        sends_header: Callable[[str], bool],
        refused: Callable[[str], None],
        connect: Callable[[AcceptedSocket], asyncio.BaseProtocol],
    ) -> None:
        """`tiers_of` returns what a peer counts under, `connect` the connection of a socket.

        `sends_header` returns whether a peer is a proxy that must begin with a PROXY header.
        `refused` is called with the limit for which a socket is closed.
        """
        self._sockets = sockets
        self._clock = clock
        self._tiers_of = tiers_of
        self._sends_header = sends_header
        self._refused = refused
        self._connect = connect
        self._tls: ssl.SSLContext | None = None
        self._listening: list[socket.socket] = []
        self._turns: FairQueue[AcceptedSocket] = FairQueue(MAX_HANDSHAKES, HANDSHAKES_PER_NETWORK)
        self._handshakes: dict[AcceptedSocket, float] = {}
        """When each began, the slowest first; without TLS, they take two turns of the loop."""
        self._next: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> tuple[str, int]:
        """Listen; return the first bound host and port. Raises PortInUseError."""
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._listening = await binding.listen(host, port)
        for each in self._listening:
            self._loop.add_reader(each, self._accept, each)
        bound: tuple[str, int] = self._listening[0].getsockname()[:2]
        return bound

    async def stop(self) -> None:
        """Stop listening, and close all sockets."""
        listening, self._listening = self._listening, []
        for each in listening:
            self._loop.remove_reader(each)
            each.close()
        for accepted in list(self._sockets):
            accepted.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=connection.CLOSE_SECONDS)

    def expired(self) -> Iterator[Callable[[], None]]:
        """Yield what closes each socket whose request is past its deadline."""
        for accepted in self._sockets.expired(self._clock()):
            logger.debug("socket from %s: no request in time", accepted.peer)
            yield accepted.close

    def cut_slow_handshakes(self) -> None:
        """Close the slowest handshakes if others wait for their place."""
        now = self._clock()
        for accepted, began in self._handshakes.items():
            if began + SLOW_HANDSHAKE_SECONDS > now:
                break
            if self._turns.is_wanted(accepted):
                accepted.close()

    # Accepting.

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.warning("cannot accept connections for a moment: %s", binding.plain(error))
                self._loop.remove_reader(listening)
                self._loop.call_later(PAUSE_SECONDS, self._resume, listening)
                return
            self._arrived(sock, address[0])

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening, self._accept, listening)

    def _arrived(self, sock: socket.socket, peer: str) -> None:
        """Count a new socket, and wait for its first byte; old ones make room for it."""
        tiers = self._make_room(peer)
        if self._sockets.is_full:
            self._refused("sockets")
            evicted = self._sockets.evict_any()
            if evicted is None:
                sock.close()
                return
            evicted.close()
        sock.setblocking(False)  # noqa: FBT003 - the method's name explains the argument
        accepted = AcceptedSocket(sock, peer, tiers, self._clock() + connection.HEAD_SECONDS)
        accepted.close = partial(self._close, accepted)
        self._sockets.enter(accepted)
        first = self._proxy_header if self._sends_header(peer) else self._first_byte
        # By number: the selector formats a socket each time that it does not find it.
        self._loop.add_reader(sock.fileno(), first, accepted)

    def _make_room(self, peer: str) -> Sequence[Tier]:
        """Return what a peer's next socket counts under; its oldest one makes room for it."""
        tiers = self._tiers_of(peer)
        if evicted := self._sockets.evict(tiers):
            self._refused("sockets of an address")
            evicted.close()
        return tiers

    def _proxy_header(self, accepted: AcceptedSocket) -> None:
        """Read what has arrived of a PROXY header, and no byte of what follows it."""
        sock, held = accepted.sock, accepted.header
        try:
            arrived = sock.recv(proxy_header.MAX_BYTES, socket.MSG_PEEK)
            data = held + arrived
            length = proxy_header.header_length(data)
            client = None if length is None else proxy_header.source(data[:length])
            sock.recv(len(arrived) if length is None else length - len(held))
        except (BlockingIOError, InterruptedError):
            return
        except ProxyHeaderError as error:
            logger.debug("socket from %s: no PROXY header: %s", accepted.peer, error)
            self._refused("proxy header")
            accepted.close()
            return
        except OSError:
            arrived = b""
        if not arrived:
            accepted.close()
        elif length is None:
            accepted.header = data
        else:
            accepted.header = b""
            if client is not None:
                self._sockets.identify(accepted, client, self._make_room(client))
            self._loop.add_reader(sock.fileno(), self._first_byte, accepted)

    def _close(self, accepted: AcceptedSocket) -> None:
        """Close a socket that has no transport yet."""
        self._loop.remove_reader(accepted.sock.fileno())
        self._turns.remove(_network(accepted), accepted)
        accepted.sock.close()
        self._sockets.leave(accepted)

    # Connecting.

    def _first_byte(self, accepted: AcceptedSocket) -> None:
        """Begin a connection: its client has sent something, or has gone."""
        self._loop.remove_reader(accepted.sock.fileno())
        self._turns.add(_network(accepted), accepted)
        self._begin_soon()

    def _begin_soon(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._begin_next)

    def _begin_next(self) -> None:
        self._next = None
        if accepted := self._turns.start():
            self._handshakes[accepted] = self._clock()
            accepted.close = partial(_shut_down, accepted.sock)
            task = self._loop.create_task(self._shake_hands(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._begin_soon()

    async def _shake_hands(self, accepted: AcceptedSocket) -> None:
        try:
            await self._open(accepted)
        finally:
            del self._handshakes[accepted]
            self._turns.remove(_network(accepted), accepted)
            self._begin_soon()

    async def _open(self, accepted: AcceptedSocket) -> None:
        """Make the connection; with TLS, this returns after the handshake."""
        try:
            await self._loop.connect_accepted_socket(
                partial(self._connect, accepted),
                accepted.sock,
                ssl=self._tls,
                ssl_handshake_timeout=connection.HEAD_SECONDS if self._tls else None,
                ssl_shutdown_timeout=connection.CLOSE_SECONDS if self._tls else None,
            )
        except OSError as error:
            logger.debug("socket from %s: no connection: %s", accepted.peer, error)
            self._sockets.leave(accepted)
            # The future's error and its frames refer to each other, and these to the TLS buffers,
            # which would wait for the garbage collector.
            traceback.clear_frames(error.__traceback__)


def _network(accepted: AcceptedSocket) -> str:
    """Return what the handshakes of a socket count under: the widest network that it is in."""
    return accepted.tiers[-1].key if accepted.tiers else accepted.peer


def _shut_down(sock: socket.socket) -> None:
    """End a socket that belongs to a transport: what reads from it then sees its end."""
    with contextlib.suppress(OSError):  # the client has gone
        sock.shutdown(socket.SHUT_RDWR)
