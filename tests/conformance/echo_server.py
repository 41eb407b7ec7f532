"""An echo server on the gateway's own connections, for conformance suites: echo_server.py PORT.

Sockets, framing and closing are the gateway's; only the session differs: it sends every message
back. All limits are off except the message size. Port 0 picks a free port; the printed line names
the address.
"""

import asyncio
import contextlib
import sys

from websockets.frames import Frame, Opcode

from percolator.app.routes import Routes
from percolator.config.settings import Settings
from percolator.gateway.admission import Admission
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.server import Limits, Server
from percolator.stats import Stats

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_SOCKETS = 1_000


class EchoSession:
    """Sends every message back, text as text and binary as binary."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def received(self, data: bytes, *, text: bool) -> None:
        """Send the message back."""
        opcode = Opcode.TEXT if text else Opcode.BINARY
        self._connection.reply(Frame(opcode, data).serialize(mask=False))

    def opened(self) -> None:
        """Send nothing: the other side begins."""

    def charge_frame(self) -> None:
        """Allow any number of pings and fragments."""

    def waits_until(self) -> None:
        """Return None: nothing has to wait."""

    def tell_feed(self) -> None:
        """Send nothing: there is no feed."""

    def beat(self, now: float) -> None:
        """Send nothing: the other side has asked for nothing."""

    def paused(self) -> None:
        """Continue: the other side will read what it sent itself."""

    def resumed(self) -> None:
        """Do nothing: no message was held back."""

    def closed(self) -> None:
        """Do nothing: the session holds nothing."""


def echo_gateway(max_buffered_bytes: int | None = None) -> Server:
    """Return a gateway whose sessions echo; with None it never cuts off a slow client."""
    clock = asyncio.get_running_loop().time
    stats = Stats(clock())
    unlimited = Settings(max_connections=0, max_connections_per_ip=0, attempts_per_second=0)
    admission = Admission(unlimited, stats, clock)
    return Server(
        admission=admission,
        stats=stats,
        heartbeat=Heartbeat(clock, interval=0, timeout=0),
        limits=Limits(
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_buffered_bytes=max_buffered_bytes,
            first_message_seconds=None,
            max_sockets=MAX_SOCKETS,
        ),
        clock=clock,
        open_session=EchoSession,
        routes=Routes((), admission, None),
        ready=lambda: True,
    )


async def serve(port: int) -> None:
    """Listen on loopback and echo until cancelled. Raises PortInUseError."""
    gateway = echo_gateway()
    host, port = await gateway.start("127.0.0.1", port)
    sys.stdout.write(f"echoing on ws://{host}:{port}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await gateway.stop(drain_seconds=0)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit("usage: python tests/conformance/echo_server.py PORT")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
