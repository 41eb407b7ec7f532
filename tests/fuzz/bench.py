"""A gateway on a test bench: everything except sockets, event loop and NATS, driven by calls.

It has real connections, admission, sessions and hub, a clock that is a number, and a transport that
keeps what is written. So a fuzz target sees every exception, and every counter after each example.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

from websockets.frames import Opcode
from websockets.http11 import Response

from percolator.app import routes
from percolator.app.intake import Intake
from percolator.app.markets import Markets
from percolator.app.metrics import Metrics, Sources
from percolator.app.routes import Access, Query, Route, Routes
from percolator.app.views import market_view
from percolator.auth.tokens import Verifier, mint
from percolator.config.settings import Settings
from percolator.fanout.book import Book
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.session import ClientSession, SessionContext
from percolator.fanout.slab_limits import SlabLimits
from percolator.gateway import responses
from percolator.gateway.admission import Admission
from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.server import Limits, Server
from percolator.model.messages import ClientLimits
from percolator.stats import Stats
from tests.gateway import leftovers

SECRET = "a secret of thirty-two bytes or more"
WALL = 1_700_000_000.0
MAX_MESSAGE = 4_096
ANSWER = b"HTTP/1.1 "


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and never calls back by itself."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "socket": self})
        self.written = bytearray()
        self.ended = False
        """True once the gateway wants it closed: nothing more is read from it then."""
        self.aborted = False

    def setsockopt(self, *_: object) -> None:
        """Accept any option, as the socket does."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the data."""
        assert data, "an empty write"
        if not self.aborted:
            self.written += data

    def can_write_eof(self) -> bool:
        """True, as for TCP."""
        return True

    def write_eof(self) -> None:
        """Do nothing: the gateway still reads until the other side closes too."""

    def pause_reading(self) -> None:
        """Do nothing: a client sends nothing while the gateway does not read."""

    def resume_reading(self) -> None:
        """Do nothing, as above."""

    def is_closing(self) -> bool:
        """True once `close` or `abort` has been called."""
        return self.ended

    def close(self) -> None:
        """Close after the written data is sent."""
        self.ended = True

    def abort(self) -> None:
        """Close at once."""
        self.ended = self.aborted = True

    def get_write_buffer_size(self) -> int:
        """Return 0: everything is sent at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore the limits: tests of slow clients use real sockets."""


class Faults(logging.Handler):
    """Collects logged errors: a gateway logs one when its own fault ends a connection."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record, with its traceback."""
        self.seen.append(logging.Formatter().format(record))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Check that percolator logs no error within the block."""
        self.seen.clear()
        logger = logging.getLogger("percolator")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
        assert not self.seen, "\n".join(self.seen)


class Bench:
    """One gateway for any number of examples; after each of them it must hold nothing."""

    def __init__(self, *, auth: bool = False, **settings: Any) -> None:  # noqa: ANN401 - as Settings
        self.now = 1_000.0
        self.settings = Settings(
            stats_token="a token",
            max_connections_per_ip=0,
            attempts_per_second=0,
            requests_per_second=0,
            auth=auth,
            auth_secret=SECRET if auth else None,
            **settings,
        )
        self.stats = Stats(self.now)
        self.slab_limits = SlabLimits(per_slab=3, wildcards=2, channels_per_client=5)
        self.book = Book(clock=self._clock, wake=lambda: None, log_capacity=4)
        self.hub = Hub(
            self.book,
            clock=self._clock,
            wake=lambda: None,
            stats=self.stats,
            limits=self.slab_limits,
            turn_seconds=1.0,
        )
        self.book.begin("e", 0, first_seq=1, complete=True)
        verifier = Verifier(SECRET, lambda: WALL) if self.settings.auth else None
        self.markets = Markets(self.book)
        self.admission = Admission(self.settings, self.stats, self._clock, verifier)
        self.heartbeat = Heartbeat(self._clock, 30, 10)
        self.reported = 0
        self.intake = Intake(self.book, self.stats, self._report)
        self.replayer = SimpleNamespace(running=0, total=0)
        self.gateway = self._make_gateway()
        self.upgraded = 0
        self.faults = Faults()

    def _clock(self) -> float:
        return self.now

    def _report(self, *_: object, **__: object) -> None:
        self.reported += 1

    def _no_replay(
        self, cursor: Cursor, logs: list[LosslessLog], _limit: int | None, _address: str
    ) -> None:
        """Continue over a gap, as if the stream held nothing of what the client lacks."""
        for log in logs:
            self.hub.finish_replay(cursor, cursor.replaying[log])

    def _make_gateway(self) -> Server:
        settings = self.settings
        context = SessionContext(
            hub=self.hub,
            stats=self.stats,
            clock=self._clock,
            wall=lambda: int(WALL * 1_000),
            limits=ClientLimits(
                messages_per_second=settings.messages_per_second,
                message_burst=settings.message_burst,
                channels=5,
                replay=settings.replay_limit,
            ),
            heartbeat_interval=settings.heartbeat_interval,
            stale_since=lambda: None,
            replayer=self._no_replay,
        )

        def open_session(connection: Connection) -> ClientSession:
            if not self.admission.auth_required:
                return ClientSession(context, connection)
            return ClientSession(
                context,
                connection,
                partial(self.gateway.verify, connection),
                connection.token,
            )

        return Server(
            admission=self.admission,
            stats=self.stats,
            heartbeat=self.heartbeat,
            limits=Limits(MAX_MESSAGE, 65_536, 60, max_sockets=100),
            clock=self._clock,
            open_session=open_session,
            routes=self._routes(),
            ready=lambda: True,
        )

    def _routes(self) -> Routes:
        table = (
            Route("/metrics", Access.COUNTERS, self._metrics),
            Route("/markets", Access.MARKETS, self._markets),
            Route("/markets/SLAB", Access.MARKETS, self._market),
        )
        return Routes(table, self.admission, self.settings.stats_token)

    def _metrics(self, _query: Query) -> Response:
        return responses.answer(HTTPStatus.OK, self.metrics())

    def _markets(self, query: Query) -> Response:
        return responses.answer(HTTPStatus.OK, self.markets.body(query.grant), responses.JSON)

    def _market(self, query: Query) -> Response | None:
        found = market_view(self.hub.book, query.slab, query.grant.covers)
        return None if found is None else routes.json(found)

    def metrics(self) -> bytes:
        """Return the page `/metrics`."""
        feed = SimpleNamespace(
            connected=True, loaded=True, seq=0, stream_seq=0, lag=0, restarts=0, silent_for=0.0
        )
        sources = SimpleNamespace(
            **{name: getattr(self, name) for name in ("settings", "stats", "hub", "heartbeat")},
            admission=self.admission.places,
            slabs=self.slab_limits,
            replayer=self.replayer,
            feed=feed,
            feed_watch=SimpleNamespace(stale_since=None),
            answering=self.gateway.answering,
            projector=SimpleNamespace(runs=False),
            flush_seconds=self.gateway.sweep.loop_lag,
            flush_bytes=self.gateway.sweep.loop_lag,
            loop_lag=self.gateway.sweep.loop_lag,
        )
        return Metrics(cast("Sources", sources)).render()

    def token(self, *channels: str) -> str:
        """Return a valid token."""
        return mint(SECRET, channels, now=WALL, seconds=60)

    def connect(self) -> "ClientSocket":
        """Open a socket."""
        return ClientSocket(self)

    def check(self) -> None:
        """Check that nothing is held, and that each client was counted once."""
        while self.hub.flush():  # a client that has gone still has its turn
            pass
        left = leftovers(cast("Any", self))
        assert left == {}, left
        assert sum(self.stats.closed.values()) == self.upgraded, (self.stats.closed, self.upgraded)
        assert min([*self.stats.closed.values(), *self.stats.refused.values(), 0]) == 0


class ClientSocket:
    """One socket, as its client sees it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._rest = b""
        self.wire = Wire()
        self.head = b""
        """The head of the response."""
        self.body = b""
        """The body of a response that is not an upgrade."""
        self.messages: list[Any] = []
        """Text messages that `receive` has not returned yet."""
        self.pings: list[bytes] = []
        """Payloads of all pings, the newest last."""
        self.pongs: list[bytes] = []
        """Payloads of all pongs."""
        self.close_code: int | None = None
        self.connection = Connection(bench.gateway)
        self.connection.connection_made(self.wire)

    def send(self, data: bytes) -> None:
        """Deliver bytes if the gateway still reads; then read its output.

        If it makes the client wait for its rate, the clock moves on.
        """
        if not self.wire.ended:
            self.connection.data_received(data)
        waiting = self._bench.gateway.parsing.waiting
        while self.connection in waiting:
            self._bench.now = waiting.pop(self.connection)
            self.connection.parse_rest()
        self.read()

    def read(self) -> None:
        """Parse what the gateway has written; each frame must be valid for a server."""
        data = self._rest + bytes(self.wire.written)
        self.wire.written.clear()
        if not self.head:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                assert not head, head
                return
            self.head = head
            assert head.startswith(ANSWER), head
            self._bench.upgraded += self.is_upgraded
        if self.is_upgraded:
            self._rest = self._frames(data)
        else:
            self.body += data

    @property
    def status(self) -> int:
        """The status of the response; 0 if there is none yet."""
        return int(self.head.split()[1]) if self.head else 0

    @property
    def is_upgraded(self) -> bool:
        """True once it is a WebSocket."""
        return self.status == 101

    @property
    def is_open(self) -> bool:
        """True from the upgrade until the gateway closes or ends the connection."""
        return self.is_upgraded and self.close_code is None and not self.wire.ended

    def _frames(self, data: bytes) -> bytes:
        while len(data) >= 2:
            assert self.close_code is None, "data after the close frame"
            first, size, start = data[0], data[1], 2
            assert first & 0xF0 == 0x80, f"a gateway sends whole frames without extensions: {first}"
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[2:start])
            assert len(data) >= start + size, "a frame that is cut off"
            self._frame(first & 0x0F, data[start : start + size])
            data = data[start + size :]
        return data

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.TEXT:
            self.messages.append(json.loads(payload))
        elif opcode == Opcode.CLOSE:
            self.close_code = int.from_bytes(payload[:2]) if payload else 1005
        elif opcode == Opcode.PING:
            self.pings.append(payload)
        else:
            assert opcode == Opcode.PONG
            self.pongs.append(payload)

    def receive(self) -> list[Any]:
        """Return the messages that have arrived since the last call."""
        received, self.messages = self.messages, []
        return received

    def end(self) -> None:
        """Report to the gateway that the socket has closed."""
        self.connection.connection_lost(None)
