"""The load client of the benchmarks, a process of its own: `python -m tests.benchmarks.load`.

Opens connections, four per source address, subscribes them, reads and counts. Client i of N gets
the i-th of the channel lists, in rotation. It prints one line of JSON when all are subscribed, and
a second when its input ends or the server has closed all of them.
"""

import argparse
import json
import resource
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.ledger import PING, Ledger, percentile

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
READ_BYTES = 1 << 20
PING_BYTES = 10
"""Size of a heartbeat ping from the gateway, with its head."""
TCP_INFO_DATA_SEGMENTS_IN = 152
"""Offset in Linux's struct tcp_info of the number of received segments with data."""
CONNECT_SECONDS = 60.0
LAST_SECONDS = 0.3
"""Seconds without data, after the input has ended, until the client stops reading."""


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a client's frame. The mask is zeros: it costs nothing and changes nothing."""
    size = len(payload)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else b""
    return (head or struct.pack("!BBH", 0x80 | opcode, 0xFE, size)) + bytes(4) + payload


@dataclass(frozen=True)
class Plan:
    """What to open. `at_once` starts all connections together, otherwise `window` at a time."""

    port: int
    clients: int
    channels: list[list[str]]
    sample: int
    at_once: bool
    window: int = 32


class Received(NamedTuple):
    """What a client has read, and when, in milliseconds since 1970."""

    ledger: Ledger
    data: bytes
    now: float


class Client:
    """One connection: connecting, then upgrading, then subscribing, then reading."""

    def __init__(self, plan: Plan, index: int) -> None:
        self.ledger = Ledger(sampled=index % plan.sample == 0)
        self.bytes = 0
        self.ready = False
        channels = plan.channels[index % len(plan.channels)]
        subscribe = json.dumps({"type": "subscribe", "channels": channels})
        self._subscribe = masked(1, subscribe.encode())
        self._head = b""
        self.socket = socket.socket()
        self.socket.settimeout(0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((socket.inet_ntoa(struct.pack("!I", 0x7F000001 + index // 4)), 0))
        self.socket.connect_ex(("127.0.0.1", plan.port))

    def writable(self) -> None:
        """Send the request on the new connection; if that failed, the send raises OSError."""
        self.socket.send(REQUEST)

    def readable(self, buffer: bytearray, received: list[Received]) -> int:
        """Read once and append to `received`; return the number of bytes, 0 at the end.

        Raises OSError.
        """
        count = self.socket.recv_into(buffer)
        data = bytes(memoryview(buffer)[:count])
        if not self.ready:
            self._greet(data, received)
        else:
            self.bytes += count
            at = data.find(PING)
            if at >= 0:
                self.socket.send(masked(10, data[at + 2 : at + 10]))
            received.append(Received(self.ledger, data, time.time() * 1000))
        return count

    def _greet(self, data: bytes, received: list[Received]) -> None:
        """Handle the upgrade; everything after `subscribed` counts already."""
        had_head = b"\r\n\r\n" in self._head
        self._head += data
        if not had_head and b"\r\n\r\n" in self._head:
            if not self._head.startswith(b"HTTP/1.1 101"):
                raise ConnectionRefusedError(self._head[:64])
            self.socket.send(self._subscribe)
        found = self._head.find(b'"subscribed"')
        if found >= 0:
            self.ready = True
            end = self._head.find(b"}", found) + 1
            received.append(Received(self.ledger, self._head[end:], time.time() * 1000))

    @property
    def segments(self) -> int:
        """Number of received segments with data: with TCP_NODELAY, one per send of the server."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        return int(struct.unpack_from("I", info, TCP_INFO_DATA_SEGMENTS_IN)[0])


class Load:
    """All clients of this process on one epoll."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._closed: list[Client] = []
        self._buffer = bytearray(READ_BYTES)
        self._waiting = 0
        self._ended = False
        self.refused = 0
        self._segments = 0

    def connect(self) -> dict[str, object]:
        """Open and subscribe all; return how many succeeded and how long it took, in seconds."""
        started = time.monotonic()
        opened = 0
        while opened < self._plan.clients or self._waiting:
            while opened < self._plan.clients and self._may_open():
                self._open(opened)
                opened += 1
            self._turn(0.1)
            if time.monotonic() - started > CONNECT_SECONDS:
                break
        took = time.monotonic() - started
        self._segments = self._count_segments()
        return {"open": len(self._clients), "refused": self.refused, "seconds": round(took, 4)}

    def run(self) -> dict[str, object]:
        """Read until standard input ends and no more data comes, or until no client is left."""
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        while self._clients and not self._ended:
            self._turn(1.0)
        last = time.monotonic()
        while self._clients and time.monotonic() - last < LAST_SECONDS:
            if self._turn(LAST_SECONDS):
                last = time.monotonic()
        return self._report()

    def _may_open(self) -> bool:
        return self._plan.at_once or self._waiting < self._plan.window

    def _open(self, index: int) -> None:
        client = Client(self._plan, index)
        self._clients[client.socket.fileno()] = client
        self._poll.register(client.socket, select.EPOLLOUT)
        self._waiting += 1

    def _turn(self, timeout: float) -> bool:
        """Serve what is ready; return True if a client received more than a ping.

        All is read before any of it is parsed, so that no latency contains the work for other
        clients.
        """
        got_data = False
        received: list[Received] = []
        for descriptor, event in self._poll.poll(timeout):
            client = self._clients.get(descriptor)
            if client is None:
                self._ended = True
                self._poll.unregister(descriptor)
                continue
            was_ready = client.ready
            try:
                if event & select.EPOLLOUT:
                    client.writable()
                    self._poll.modify(descriptor, select.EPOLLIN)
                else:
                    count = client.readable(self._buffer, received)
                    got_data = got_data or count > PING_BYTES
                    if not count:
                        self._drop(descriptor, client)
            except OSError:
                self._drop(descriptor, client)
            self._waiting -= client.ready and not was_ready
        for ledger, data, now in received:
            ledger.record(data, now)
        return got_data

    def _drop(self, descriptor: int, client: Client) -> None:
        del self._clients[descriptor]
        if not client.ready:
            self.refused += 1
            self._waiting -= 1
        self._closed.append(client)
        client.socket.close()

    def _count_segments(self) -> int:
        return sum(client.segments for client in self._clients.values())

    def _report(self) -> dict[str, object]:
        clients = [*self._clients.values(), *self._closed]
        ledgers = [client.ledger for client in clients if client.ready]
        latencies = sorted(value for ledger in ledgers for value in ledger.latencies)
        accounted = [ledger.accounted for ledger in ledgers]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "open": len(self._clients),
            "events": sum(ledger.events for ledger in ledgers),
            "lossless": sum(ledger.lossless for ledger in ledgers),
            "gaps": sum(ledger.gaps for ledger in ledgers),
            "missing": sum(ledger.missing for ledger in ledgers),
            "faults": sum(ledger.faults for ledger in ledgers),
            "accounted_min": min(accounted, default=0),
            "accounted_max": max(accounted, default=0),
            "bytes": sum(client.bytes for client in clients),
            "sends": self._count_segments() - self._segments,
            "p50_ms": round(percentile(latencies, 0.5), 2),
            "p99_ms": round(percentile(latencies, 0.99), 2),
            "max_ms": round(percentile(latencies, 1), 2),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        }


def main() -> None:
    """Run with the options of the command line."""
    parser = argparse.ArgumentParser(description="Load a server for a benchmark.")
    parser.add_argument("port", type=int)
    parser.add_argument("clients", type=int)
    parser.add_argument("--channels", type=json.loads, default=[["trades:SOL"]])
    parser.add_argument("--sample", type=int, default=16, help="parse every n-th client's messages")
    parser.add_argument("--at-once", action="store_true", help="open all connections at once")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = Load(Plan(**vars(options)))
    print(json.dumps(load.connect()), flush=True)
    print(json.dumps(load.run()), flush=True)


if __name__ == "__main__":
    main()
