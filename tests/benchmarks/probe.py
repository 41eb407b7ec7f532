"""A probe, a process of its own: `python -m tests.benchmarks.probe PORT`.

One client sends a ping frame every 20 ms and measures the time to its pong, which is at least the
lag of the gateway's event loop. It prints a line when it is connected, and its findings when its
input ends.
"""

import json
import select
import socket
import struct
import sys
import time

from tests.benchmarks.ledger import percentile
from tests.benchmarks.load import REQUEST, masked

EVERY_SECONDS = 0.02
PONG = b"\x8a\x08"
STAMP = struct.Struct("!Q")


def probe(port: int) -> dict[str, float]:
    """Ping until standard input ends; wait up to a second each for the last pongs."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.sendall(REQUEST)
    while b"\r\n\r\n" not in peer.recv(4096):
        pass
    print("connected", flush=True)
    sent, received, going = 0, b"", True
    took: list[float] = []
    due = time.monotonic()
    while going or len(took) < sent:
        wait = max(due - time.monotonic(), 0.0) if going else 1.0
        ready, _, _ = select.select([peer, *([sys.stdin] if going else [])], [], [], wait)
        if peer in ready:
            received += peer.recv(65536)
            while (at := received.find(PONG)) >= 0 and len(received) >= at + 10:
                (stamp,) = STAMP.unpack_from(received, at + 2)
                took.append((time.monotonic_ns() - stamp) / 1e6)
                received = received[at + 10 :]
        elif not going and not ready:
            break
        going = going and sys.stdin not in ready
        if going and time.monotonic() >= due:
            peer.sendall(masked(9, STAMP.pack(time.monotonic_ns())))
            sent, due = sent + 1, max(due + EVERY_SECONDS, time.monotonic())
    took.sort()
    return {
        "pings": sent,
        "unanswered": sent - len(took),
        "p50_ms": round(percentile(took, 0.5), 2),
        "p99_ms": round(percentile(took, 0.99), 2),
        "max_ms": round(percentile(took, 1), 2),
    }


if __name__ == "__main__":
    print(json.dumps(probe(int(sys.argv[1]))))
