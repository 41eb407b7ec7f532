"""Churn: 10,000 connections that open and end in every way. Afterwards nothing is left."""

import contextlib
import itertools
import socket
import struct
import time
from collections.abc import Callable

from tests.benchmarks.connections import wait_until_empty, warm_up
from tests.benchmarks.load import REQUEST, masked
from tests.benchmarks.processes import on_core
from tests.benchmarks.results import Row
from tests.benchmarks.stage import Server, Stage

CONNECTIONS = 10_000
MB = 1024 * 1024
SUBSCRIBE = masked(1, b'{"type":"subscribe","slabAddress":"SOL"}')
MAX_SILENT = 50
NO_LINGER = struct.pack("ii", 1, 0)
"""Makes closing send a reset."""

Way = Callable[[socket.socket], object]


def run(stage: Stage) -> list[Row]:
    """Measure the second of two rounds: the first also pays for one-time allocations."""
    with stage.nats() as nats, stage.gateway(nats.url, messages_per_second="10") as server:
        warm_up(stage, server)
        _round(stage, server)
        memory = server.process.memory()
        _round(stage, server)
        grown = server.process.memory() - memory
        stats = server.get("/ws/stats")
    leftovers = (
        stats["totalConnections"] + len(stats["connectionsPerSlab"]) + stats["clientsBehind"]
    )
    name = f"{CONNECTIONS:,} connections"
    return [
        Row(name, "counters that are not zero", (leftovers,), "", 0),
        Row(name, "memory growth", (grown / MB,), "MB", 1),
    ]


def _round(stage: Stage, server: Server) -> None:
    silent: list[socket.socket] = []
    with on_core(stage.load_core):
        for way, _ in zip(itertools.cycle(WAYS), range(CONNECTIONS), strict=False):
            peer = socket.create_connection(("127.0.0.1", server.port))
            peer.settimeout(10)
            with contextlib.suppress(ConnectionError):
                way(peer)
            silent.append(peer) if way in STAYING else peer.close()
            if len(silent) > MAX_SILENT:
                silent.pop(0).close()
    for peer in silent:
        peer.close()
    wait_until_empty(server)
    time.sleep(1)


def _upgrade(peer: socket.socket) -> None:
    peer.sendall(REQUEST + SUBSCRIBE)
    received = b""
    while b'"subscribed"' not in received:
        part = peer.recv(65536)
        if not part:
            raise RuntimeError(f"the gateway closed the connection: {received[-200:]!r}")
        received += part


def _read_to_the_end(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


def _sends(data: bytes, *, reset: bool = False, read_to_the_end: bool = True) -> Way:
    """Return a way that sends something after the upgrade."""

    def way(peer: socket.socket) -> None:
        _upgrade(peer)
        peer.sendall(data)
        if read_to_the_end:
            _read_to_the_end(peer)
        if reset:
            _reset(peer)

    return way


def _before_the_upgrade(data: bytes, *, reset: bool = False, read_to_the_end: bool = False) -> Way:
    """Return a way that ends before the upgrade."""

    def way(peer: socket.socket) -> None:
        peer.sendall(data)
        if read_to_the_end:
            _read_to_the_end(peer)
        if reset:
            _reset(peer)

    return way


def _half_closes(peer: socket.socket) -> None:
    _upgrade(peer)
    peer.shutdown(socket.SHUT_WR)
    _read_to_the_end(peer)


_CLOSE = masked(8, struct.pack("!H", 1000))
_CLOSES_AND_STAYS = _sends(_CLOSE, read_to_the_end=False)
_FLOODS_AND_STAYS = _sends(masked(1, b"{}") * 40, read_to_the_end=False)
STAYING = frozenset({_CLOSES_AND_STAYS, _FLOODS_AND_STAYS})
"""These leave their socket open for a while, whatever the gateway sends."""
WAYS: tuple[Way, ...] = (
    _sends(_CLOSE),
    _sends(b"", reset=True, read_to_the_end=False),
    _sends(b"", read_to_the_end=False),
    _sends(b"\x81\x01x"),  # not masked
    _sends(masked(1, b"\xff")),  # not UTF-8
    _sends(masked(2, b"x" * 5_000)),  # too large
    _FLOODS_AND_STAYS,
    _sends(masked(1, b"half")[:-2], reset=True, read_to_the_end=False),
    _half_closes,
    _CLOSES_AND_STAYS,
    _before_the_upgrade(b""),
    _before_the_upgrade(REQUEST[:50]),
    _before_the_upgrade(REQUEST[:50], reset=True),
    _before_the_upgrade(REQUEST, reset=True),
    _before_the_upgrade(b"\x00\xff garbage\r\n\r\n", read_to_the_end=True),
    _before_the_upgrade(b"GET /ws/stats HTTP/1.1\r\nHost: x\r\n\r\n", read_to_the_end=True),
    _before_the_upgrade(b"GET / HTTP/1.1\r\nX: " + b"x" * 9_000, read_to_the_end=True),
)
