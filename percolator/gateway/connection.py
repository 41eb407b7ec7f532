"""One client's socket: `asyncio.Protocol` on one side, its session on the other.

No task, queue or timer per connection: the gateway's sweep checks deadlines. Frames from the
session bypass the protocol object, which is correct only while the connection is open, has no
extension and has sent no close frame. While the transport's buffer is empty, they bypass the
transport too and go to the socket directly.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Response

from percolator.gateway import handshake, responses, transports
from percolator.gateway.answering import ANSWER_SECONDS, Later
from percolator.gateway.ports import ConnectionHost, Session
from percolator.gateway.sockets import AcceptedSocket
from percolator.gateway.websocket import ABNORMAL, WebSocket
from percolator.model import closes

HEAD_SECONDS = 10.0
"""Seconds a client has to send its request head."""
CLOSE_SECONDS = 5.0
"""Seconds a client has to answer our close frame, or to read an HTTP response."""
SLICE_BYTES = 256
"""Bytes parsed before limits are checked again: one read may hold thousands of tiny frames."""
TURN_SECONDS = 0.001
"""Seconds of parsing in one turn of the loop; the rest of a read waits for another turn."""
MAX_LOGGED_BYTES = 256
"""Bytes of a client's message that a debug line shows."""

INTERNAL = "conn %d: closed because of an internal error"

logger = logging.getLogger(__name__)


class State(Enum):
    """The state of a connection; it only moves down this list."""

    HEAD = auto()
    ANSWERING = auto()
    OPEN = auto()
    CLOSING = auto()
    GONE = auto()


class Connection(asyncio.Protocol):
    """One socket, from accept to close."""

    __slots__ = (
        "_ending",
        "_ends_at",
        "_head",
        "_host",
        "_raw",
        "_session",
        "_unparsed",
        "_ws",
        "accepted",
        "address",
        "admitted",
        "deadline",
        "id",
        "is_behind",
        "peer",
        "reading",
        "state",
        "token",
        "transport",
        "try_send",
        "upgraded",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, host: "ConnectionHost[Connection]") -> None:
        self._host = host
        self._ws: WebSocket | None = None
        self._session: Session | None = None
        self._head = b""
        self._unparsed = b""
        self.id = next(host.ids)
        """Identifies the connection in log lines."""
        self.accepted: AcceptedSocket | None = None
        """Its socket, as the gateway counts it."""
        self.state = State.HEAD
        self.upgraded = False
        self.reading = True
        """False while parsing is to go on later; then nothing is read."""
        self.is_behind = False
        """True if data has waited in the transport's buffer since the client's last frame."""
        self.peer = ""
        self.address = ""
        """The key that it is counted under, once its request is known."""
        self.admitted = False
        """True while it holds a place."""
        self.token: str | None = None
        """The token of the request, until the session takes it."""
        self.deadline: float | None = host.clock() + HEAD_SECONDS
        """When its next step is due: the head, a late answer, the first message, or the end."""
        self._ends_at: float | None = None
        self._ending = closes.CLOSE_SILENT
        self._raw: Callable[[bytes], int] | None = None
        self.try_send: Callable[[bytes], int] | None = None
        """The socket's own `send`, while the transport's buffer is empty."""

    @property
    def is_open(self) -> bool:
        """True from the upgrade until either side closes."""
        return self.state is State.OPEN

    @property
    def close_code(self) -> int:
        """The code of the close frame that began the end; 1006 if there was none."""
        return ABNORMAL if self._ws is None else self._ws.close_code

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the socket."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses
        peer = transport.get_extra_info("peername")
        self.peer = self.accepted.peer if self.accepted else peer[0] if peer else ""
        self._host.connection_made(self)
        logger.debug("conn %d: accepted from %s", self.id, self.peer)
        self._raw = transports.prepare(self.transport, self._host.max_buffered_bytes)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the client."""
        self._host.stats.bytes_received += len(data)
        self._handle(data)

    def _handle(self, data: bytes) -> None:
        """Read the head or frames. An error of ours closes only this connection."""
        try:
            if self.state is State.HEAD:
                data = self._read_head(data)
            self._parse(data)
        except Exception:
            logger.exception(INTERNAL, self.id)
            self._failed()

    def _failed(self) -> None:
        """End it because of an error of ours."""
        if self.state is State.HEAD:
            self._answer(responses.internal_error())
        else:
            self.close(closes.CLOSE_INTERNAL)

    def _parse(self, data: bytes) -> None:
        """Parse slice by slice, until the connection ends, has to wait, or the turn is over."""
        until = self._host.clock() + TURN_SECONDS
        for start in range(0, len(data), SLICE_BYTES):
            if self._ws is None or self.state is State.GONE:
                return
            if self.state is State.CLOSING:
                self._ignore(self._ws, data[start:])
                return
            if start and self._host.clock() >= until:
                self._stop_reading(data[start:])
                self._host.parsing.add(self)
                return
            self._receive(self._ws, data[start : start + SLICE_BYTES])
            if (until_paid := self._waits_until()) is not None:
                self._stop_reading(data[start + SLICE_BYTES :])
                self._host.stats.message_waits += 1
                self._host.parsing.wait(self, until_paid)
                return

    def _waits_until(self) -> float | None:
        return None if self._session is None else self._session.waits_until()

    def _stop_reading(self, rest: bytes) -> None:
        """Keep the rest of a read until `parse_rest`."""
        self._unparsed = rest
        self.reading = False
        self.transport.pause_reading()

    def eof_received(self) -> None:
        """Close the transport by returning None: a client that closed its side expects no more."""

    def pause_writing(self) -> None:
        """Pause the session: the client is slow."""
        logger.debug("conn %d: paused, its buffer is full", self.id)
        self.is_behind = True
        if self._session is not None:
            self._session.paused()

    def resume_writing(self) -> None:
        """Resume the session: the buffer has drained, which is a sign of life."""
        logger.debug("conn %d: resumed", self.id)
        self._host.heartbeat.alive(self)
        if self._session is not None:
            self._session.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything, once."""
        if self.state is not State.GONE:
            logger.debug(
                "conn %d: gone, close code %d (%s)", self.id, self.close_code, exc or "closed"
            )
            self._end_session()
            self.state = State.GONE
            self._unparsed = b""
            self._host.connection_lost(self)
            self._ws = self._raw = self.try_send = self.accepted = None
            transports.break_cycle(self.transport)

    # Called by the gateway and the session.

    def parse_rest(self) -> None:
        """Go on with what the last turn left, and then with reading."""
        rest, self._unparsed = self._unparsed, b""
        self.reading = True
        self._host.heartbeat.resumed(self)
        self._handle(rest)
        if self.reading:
            self.transport.resume_reading()

    def visit(self, act: Callable[[Session], None]) -> None:
        """Do something with its session, if it has one. An error closes only this connection."""
        if self._session is not None:
            try:
                act(self._session)
            except Exception:
                logger.exception(INTERNAL, self.id)
                self._failed()

    def send(self, data: bytes) -> None:
        """Write encoded frames."""
        self.transport.write(data)
        if self.transport.get_write_buffer_size():
            self.try_send, self.is_behind = None, True
        else:
            self.try_send = self._raw

    def reply(self, data: bytes) -> None:
        """Write a reply; a client that sends requests without reading is cut off."""
        if self.transport.is_closing():
            return  # it was cut off by an earlier request in the same read
        limit = self._host.max_buffered_bytes
        if limit is not None and self.transport.get_write_buffer_size() + len(data) > limit:
            self.terminate()
        else:
            self.send(data)

    def close(self, close: closes.Close) -> None:
        """Send a close frame, and wait up to CLOSE_SECONDS for the client's."""
        if self.state is State.OPEN and self._ws is not None:
            self._ws.send_close(close)
            self._begin_closing(self._ws)
            self._transmit()

    def terminate(self) -> None:
        """Abort the TCP connection, without a close frame."""
        if self.state is not State.GONE:
            logger.debug("conn %d: aborted", self.id)
            self.state = State.CLOSING  # the rest of the current read finds no session
        self._end_session()
        self.transport.abort()

    def answer(self, response: Response) -> None:
        """Send the answer that the client has waited for."""
        if self.state is State.ANSWERING:
            self._answer(response)

    def end_at(self, time: float, close: closes.Close) -> None:
        """Close at a time on the gateway's clock; replaces an earlier time."""
        self._ends_at, self._ending = time, close

    def past_deadline(self, now: float) -> bool:
        """Return whether the sweep must call `expired`."""
        return (self.deadline is not None and self.deadline <= now) or (
            self._ends_at is not None and self._ends_at <= now
        )

    def expired(self) -> None:
        """End a connection that is past its deadline or its end."""
        ends_at, self._ends_at, self.deadline = self._ends_at, None, None
        if self.state is State.OPEN:
            due = ends_at is not None and ends_at <= self._host.clock()
            self.close(self._ending if due else closes.CLOSE_SILENT)
        elif self.state is State.ANSWERING:
            self._host.answering.give_up(self, responses.too_slow())
        else:
            self.terminate()

    # The handshake.

    def _read_head(self, data: bytes) -> bytes:
        """Collect the request head and handle it; return the bytes after it."""
        data = self._head + data
        try:
            length = handshake.head_length(data)
        except handshake.HeadTooLargeError:
            self._head = data
            self._answer(responses.too_large())
            return b""
        self._head = data[:length]
        if length is None:
            return b""
        self._upgrade(self._head)
        return data[length:]

    def _upgrade(self, head: bytes) -> None:
        parsed = handshake.parse(head, self._host.max_message_bytes)
        if parsed is None:
            self._answer(responses.malformed(head))
            return
        protocol, request = parsed
        path = request.path.partition("?")[0]  # the query may hold a token
        logger.debug("conn %d: request %s %.80s", self.id, request.method, path)
        response = self._host.process_request(self, request) or handshake.accept(protocol, request)
        if isinstance(response, Later):
            self.state = State.ANSWERING
            self.deadline = self._host.clock() + ANSWER_SECONDS
            self._host.answering.add(self, response)
            return
        if response.status_code != responses.SWITCHING:
            self._answer(response)
            return
        self._head = b""
        session = self._host.admit(self)
        protocol.send_response(response)
        self._ws = WebSocket(protocol)
        self.state = State.OPEN
        self.upgraded = True
        logger.debug("conn %d: upgraded", self.id)
        self._transmit()
        if isinstance(session, closes.Close):
            self.close(session)
        else:
            self._session = session
            session.opened()

    def _answer(self, response: Response) -> None:
        logger.debug("conn %d: answered %d", self.id, response.status_code)
        data = responses.written(response, self._head)
        self._head = b""
        self.send(data)
        # TLS hides what is left in its own buffers.
        tls = self.transport.get_extra_info("sslcontext") is not None
        self._host.answered(self, len(data) if tls else self.transport.get_write_buffer_size())
        self._finish()

    # Frames.

    def _receive(self, ws: WebSocket, data: bytes) -> None:
        frames = ws.receive(data)
        if frames:
            self._host.heartbeat.alive(self)
            self.is_behind = self.is_behind and self.transport.get_write_buffer_size() > 0
        if ws.is_open:
            self._transmit()  # the pong goes before the reply to what came after the ping
        for frame in frames:
            if self.state is State.OPEN:
                self._frame(ws, frame)
        if not ws.is_open:
            if self.state is State.OPEN:
                self._begin_closing(ws)
            self._transmit()  # a close frame is the last

    def _ignore(self, ws: WebSocket, data: bytes) -> None:
        """Discard what arrives after our close frame, even pings; the client's close ends it."""
        if ws.ignore(data):
            self.terminate()
        elif b"" in ws.output():
            self._finish()

    def _frame(self, ws: WebSocket, frame: Frame) -> None:
        assert self._session is not None
        match frame.opcode:
            case Opcode.PONG if self._host.heartbeat.pong(self, bytes(frame.data)):
                pass
            case Opcode.PING | Opcode.PONG:
                self._session.charge_frame()
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._data(ws, frame)

    def _data(self, ws: WebSocket, frame: Frame) -> None:
        assert self._session is not None
        try:
            message = ws.message(frame)
        except UnicodeDecodeError:
            ws.fail(closes.CLOSE_NOT_UTF8)
            self._begin_closing(ws)
            return
        if message is None:
            self._session.charge_frame()
            return
        self._host.stats.messages_received += 1
        self.deadline = None  # the first message came in time
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("conn %d: received %s", self.id, _loggable(message))
        self._session.received(message, text=ws.text)

    def _transmit(self) -> None:
        """Write what the protocol object has to send."""
        if self._ws is None:
            return
        for data in self._ws.output():
            if data:
                self.reply(data)
            else:
                self._finish()

    # The end.

    def _begin_closing(self, ws: WebSocket) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            frame = ws.close_frame
            logger.debug("conn %d: closing with %s", self.id, frame or ABNORMAL)
        self.state = State.CLOSING
        self.deadline = self._host.clock() + CLOSE_SECONDS
        self._ends_at = None
        self._end_session()
        self._host.parsing.stop_waiting(self)  # the client's close frame is read at once

    def _finish(self) -> None:
        """Close our side once everything is written; the client has CLOSE_SECONDS for its own."""
        self.state = State.CLOSING
        self.deadline = self._host.clock() + CLOSE_SECONDS
        try:
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        except OSError:  # the client did not wait for a response
            self.terminate()

    def _end_session(self) -> None:
        """Remove the client from the hub: frames from there must not follow a close frame."""
        session, self._session = self._session, None
        if session is not None:
            session.closed()
            self._host.heartbeat.forget(self)


def _loggable(message: bytes) -> str:
    """Return a message for a log line, only its size if it may hold a token."""
    if b"token" in message.lower() or b"\\" in message:  # an escape could spell "token"
        return f"{len(message):,} bytes that may hold a token"
    return repr(message[:MAX_LOGGED_BYTES])[1:]
