"""A swarm of attacking sockets on one epoll: they send prepared bytes, and are opened again.

Python can send much this way: the bytes are made once, and one call sends a large part of them.
"""

import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from tests.nats_server import LOOPBACK

READ_BYTES = 1 << 18
STEP_SECONDS = 0.005
"""Seconds between two looks at what is due."""
NICE = 19
"""Attackers run at the lowest priority, so that they take no time from the honest clients."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One attacker: what it sends, what it reads, and when it leaves."""

    address: str
    opening: bytes = b""
    """Sent as soon as it is connected."""
    repeat: bytes = b""
    """Sent again and again after that."""
    every: float = inf
    """Seconds between two of them."""
    reads: float = inf
    """Bytes per second that it reads at most."""
    lasts: float = inf
    """Seconds after which it leaves."""


class Link:
    """The open socket of a peer."""

    def __init__(self, peer: Peer, port: int, now: float) -> None:
        self.peer = peer
        self.unsent = memoryview(peer.opening)
        self.next_repeat = now + peer.every
        self.ends_at = now + peer.lasts
        self.reads_at = now
        self.socket = socket.socket()
        if peer.reads < inf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)  # noqa: FBT003 - the method's name explains the argument
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((peer.address, 0))
        self.socket.connect_ex((LOOPBACK, port))

    @property
    def interest(self) -> int:
        """The events of epoll that it waits for."""
        reading = select.EPOLLIN if self.peer.reads == inf else 0
        return reading | select.EPOLLRDHUP | (select.EPOLLOUT if self.unsent else 0)

    def timed(self, now: float) -> int:
        """Do what is due by the clock; return how many bytes were read. Raises OSError."""
        if now >= self.next_repeat:
            self.next_repeat = max(self.next_repeat + self.peer.every, now)
            if not self.unsent:
                self.unsent = memoryview(self.peer.repeat)
        if 0 < self.peer.reads < inf and now >= self.reads_at:
            self.reads_at = now + 2_048 / self.peer.reads
            try:
                return len(self.socket.recv(2_048))
            except BlockingIOError:
                pass
        return 0


class Swarm:
    """Keeps all peers connected, opening at most `per_second` sockets."""

    def __init__(self, port: int, peers: Sequence[Peer], per_second: float = 100) -> None:
        self._port = port
        self._per_second = per_second
        self._absent = deque(peers)
        self._links: dict[int, Link] = {}
        self._timed = any(
            peer.every < inf or peer.lasts < inf or peer.reads < inf for peer in peers
        )
        self._poll = select.epoll()
        self._opens_at = time.monotonic()
        self._report = {"opened": 0, "ended": 0, "sent": 0, "received": 0}

    def run(self) -> dict[str, int]:
        """Attack until standard input ends; return counts of sockets and bytes."""
        os.nice(NICE)
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        while self.step(STEP_SECONDS):
            pass
        return self._report

    def step(self, timeout: float) -> bool:
        """Do what is due, waiting for events if there are none; False once the input has ended."""
        now = time.monotonic()
        while self._absent and self._opens_at <= now:
            self._opens_at = max(self._opens_at, now - 1) + 1 / self._per_second
            self._open(self._absent.popleft(), now)
        for descriptor, event in self._poll.poll(timeout):
            link = self._links.get(descriptor)
            if link is None:
                return False
            self._serve(link, event)
        if self._timed:
            self._keep_time(time.monotonic())
        return True

    def close(self) -> None:
        """Close all sockets."""
        for link in self._links.values():
            link.socket.close()
        self._poll.close()

    def _open(self, peer: Peer, now: float) -> None:
        link = Link(peer, self._port, now)
        self._links[link.socket.fileno()] = link
        self._poll.register(link.socket, link.interest)
        self._report["opened"] += 1

    def _serve(self, link: Link, event: int) -> None:
        try:
            if event & select.EPOLLOUT and link.unsent:
                sent = link.socket.send(link.unsent)
                self._report["sent"] += sent
                link.unsent = link.unsent[sent:]
                self._poll.modify(link.socket, link.interest)
            elif event & select.EPOLLIN:
                received = len(link.socket.recv(READ_BYTES))
                self._report["received"] += received
                if not received:
                    self._drop(link)
            else:
                self._drop(link)
        except OSError:
            self._drop(link)

    def _keep_time(self, now: float) -> None:
        for link in list(self._links.values()):
            if now >= link.ends_at:
                self._drop(link)
                continue
            idle = not link.unsent
            try:
                self._report["received"] += link.timed(now)
            except OSError:
                self._drop(link)
                continue
            if idle and link.unsent:
                self._poll.modify(link.socket, link.interest)

    def _drop(self, link: Link) -> None:
        """Close a socket that has ended or has to; its peer comes back."""
        del self._links[link.socket.fileno()]
        link.socket.close()
        self._absent.append(link.peer)
        self._report["ended"] += 1
