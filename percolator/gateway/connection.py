"""One client: asyncio.Protocol on one side, its session on the other, websockets' Sans-I/O between.

No task, no queue and no timer a connection: deadlines are looked at by the gateway's sweep. A
frame that was made elsewhere goes straight to the transport, round the protocol object, which is
right only while the connection is open, has no extension and has sent no close frame. Where nothing
waits in the transport's buffer, it goes round the transport too, right to the socket.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from percolator.gateway import responses
from percolator.gateway.messages import Messages
from percolator.gateway.ports import ConnectionHost, Session
from percolator.model import closes

MAX_HEAD_BYTES = 8_192
HEAD_SECONDS = 10.0
CLOSE_SECONDS = 5.0
"""For the other side to answer a close, or to take the rest of an HTTP answer."""
SLICE = 1_024
"""So much is parsed before limits are looked at again: a read may hold thousands of tiny frames."""
NOTSENT_LOWAT = 16_384
"""Bytes not yet sent that the kernel takes: more would hide a slow client for megabytes."""
HEAD_END = b"\r\n\r\n"
MAX_IGNORED_BYTES = 65_536
"""So much may still come in after our close frame: a client that goes on and on is cut off."""
ABNORMAL = 1006
"""What a close is counted as where no close frame was seen."""


logger = logging.getLogger(__name__)
_LOGGER = logging.getLogger("percolator.websockets")
_LOGGER.setLevel(logging.ERROR)  # websockets reports each handshake at INFO


class State(Enum):
    """Where a connection stands; it only ever moves down this list."""

    HEAD = auto()
    OPEN = auto()
    CLOSING = auto()
    GONE = auto()


class Connection(asyncio.Protocol):
    """One socket, from accept to the end."""

    __slots__ = (
        "_ending",
        "_ends_at",
        "_head",
        "_host",
        "_ignored",
        "_messages",
        "_protocol",
        "_raw",
        "_session",
        "address",
        "admitted",
        "deadline",
        "peer",
        "state",
        "token",
        "transport",
        "try_send",
        "upgraded",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, host: ConnectionHost) -> None:
        self._host = host
        self._protocol: ServerProtocol | None = None
        self._session: Session | None = None
        self._head = b""
        self._messages = Messages()
        self._ignored = 0
        self.state = State.HEAD
        self.upgraded = False
        self.peer = ""
        self.address = ""
        """Whom it is counted for, once it has asked."""
        self.admitted = False
        """True while it holds a place."""
        self.token: str | None = None
        """What the request said who it is, until the session has taken it."""
        self.deadline: float | None = host.clock() + HEAD_SECONDS
        """For what it has to do next: ask, speak, close."""
        self._ends_at: float | None = None
        self._ending = closes.CLOSE_SILENT
        self._raw: Callable[[bytes], int] | None = None
        self.try_send: Callable[[bytes], int] | None = None
        """The socket's own `send`, for as long as nothing waits in the transport's buffer."""

    @property
    def is_open(self) -> bool:
        """True from the upgrade until either side closes."""
        return self.state is State.OPEN

    @property
    def close_code(self) -> int:
        """The code of the close frame that began the end; 1006 where there was none."""
        ws = self._protocol
        if ws is None:
            return ABNORMAL
        begun = ws.close_rcvd if ws.close_rcvd_then_sent else (ws.close_sent or ws.close_rcvd)
        return int(begun.code) if begun else ABNORMAL

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, if the gateway has room."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not say that they are
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        if not self._host.connection_made(self):
            self.transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
        if not transport.get_extra_info("sslcontext"):
            self._raw = getattr(getattr(sock, "_sock", None), "send", None)
        most = self._host.max_buffered_bytes
        if most is not None:
            # One write is at most half of the limit, so that the two together never exceed it.
            self.transport.set_write_buffer_limits(high=most // 2, low=most // 8)

    def data_received(self, data: bytes) -> None:
        """Take what came in. A fault of ours ends this connection, and no other."""
        self._host.traffic.bytes_received += len(data)
        try:
            self._take(data)
        except Exception:
            logger.exception("a connection is closed for a fault of ours")
            if self.state is State.HEAD:
                self._answer(responses.internal_error())
            else:
                self.close(closes.CLOSE_INTERNAL)

    def _take(self, data: bytes) -> None:
        """Parse, a slice at a time, for as long as the connection is wanted."""
        if self.state is State.HEAD:
            data = self._read_head(data)
        for start in range(0, len(data), SLICE):
            if self._protocol is None or self.state is State.GONE:
                return
            self._receive(data[start : start + SLICE])

    def eof_received(self) -> None:
        """Let the transport close: a client that has closed its side wants nothing more."""

    def pause_writing(self) -> None:
        """Pass it on: the client is slow."""
        if self._session is not None:
            self._session.paused()

    def resume_writing(self) -> None:
        """Pass it on: the client has caught up with its buffer."""
        if self._session is not None:
            self._session.resumed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give everything back, once."""
        if self.state is not State.GONE:
            self._end_session()
            self.state = State.GONE
            self._host.connection_lost(self)
            self._protocol = None

    # What the gateway and the session ask for.

    def send(self, data: bytes) -> None:
        """Write frames, as they are."""
        self.transport.write(data)
        self.try_send = None if self.transport.get_write_buffer_size() else self._raw

    def reply(self, data: bytes) -> None:
        """Write an answer; a client that asks and does not read is cut off."""
        if self.transport.is_closing():
            return  # cut off before all of its questions in one read were answered
        most = self._host.max_buffered_bytes
        if most is not None and self.transport.get_write_buffer_size() + len(data) > most:
            self.terminate()
        else:
            self.send(data)

    def close(self, close: closes.Close) -> None:
        """Say why and wait, for a bounded time, until the other side has closed too."""
        if self.state is State.OPEN and self._protocol is not None:
            if self._protocol.state is OPEN:  # else something later in the same read has ended it
                self._protocol.send_close(close.code, close.reason)
            self._begin_closing()
            self._transmit()

    def terminate(self) -> None:
        """Abort the TCP connection: no close frame, no waiting."""
        if self.state is not State.GONE:
            self.state = State.CLOSING  # what is still being parsed finds no session any more
        self._end_session()
        self.transport.abort()

    def end_at(self, time: float, close: closes.Close) -> None:
        """Close at a time on the gateway's clock, instead of any that was set before."""
        self._ends_at, self._ending = time, close

    def past_deadline(self, now: float) -> bool:
        """True where the sweep is to call `expired`."""
        return (self.deadline is not None and self.deadline <= now) or (
            self._ends_at is not None and self._ends_at <= now
        )

    def expired(self) -> None:
        """End what has taken too long, or was to end now."""
        ends_at, self._ends_at, self.deadline = self._ends_at, None, None
        if self.state is State.OPEN:
            due = ends_at is not None and ends_at <= self._host.clock()
            self.close(self._ending if due else closes.CLOSE_SILENT)
        else:
            self.terminate()

    # The upgrade.

    def _read_head(self, data: bytes) -> bytes:
        """Gather the request head and act on it; give what follows it."""
        head = self._head + data
        end = head.find(HEAD_END)
        if end < 0 and len(head) <= MAX_HEAD_BYTES:
            self._head = head
            return b""
        self._head = b""
        end += len(HEAD_END)
        if not len(HEAD_END) <= end <= MAX_HEAD_BYTES:
            self._answer(responses.too_large())
            return b""
        self._upgrade(head[:end])
        return head[end:]

    def _upgrade(self, head: bytes) -> None:
        size = self._host.max_message_bytes
        ws = ServerProtocol(max_size=size, logger=_LOGGER)
        ws.receive_data(head)
        requests = ws.events_received()
        if not requests or not isinstance(requests[0], Request):
            self._answer(responses.malformed(head))
            return
        request = requests[0]
        response = self._host.process_request(self, request) or ws.accept(request)
        if response.status_code != responses.SWITCHING:
            self._answer(response)
            return
        session = self._host.admit(self)
        ws.send_response(response)
        self._protocol = ws
        self.state = State.OPEN
        self.upgraded = True
        self._transmit()
        if isinstance(session, closes.Close):
            self.close(session)
        else:
            self._session = session
            session.opened()

    def _answer(self, response: Response) -> None:
        self.send(response.serialize())
        self._finish()

    # Frames.

    def _receive(self, data: bytes) -> None:
        ws = self._protocol
        assert ws is not None
        ws.receive_data(data)
        frames = ws.events_received()
        if self.state is State.CLOSING:
            self._ignore(ws, len(data))
            return
        if ws.state is OPEN:
            self._transmit()  # a pong does not wait for the answer to what came after the ping
        for frame in frames:
            if isinstance(frame, Frame) and self.state is State.OPEN:
                self._frame(frame)
        if ws.state is not OPEN:
            if self.state is State.OPEN:
                self._begin_closing()
            self._transmit()  # a close frame is the last

    def _ignore(self, ws: ServerProtocol, size: int) -> None:
        """Answer nothing any more, not even a ping; the other side's close frame ends it."""
        self._ignored += size
        if b"" in ws.data_to_send():
            self._finish()
        elif self._ignored > MAX_IGNORED_BYTES:
            self.terminate()

    def _frame(self, frame: Frame) -> None:
        assert self._session is not None
        match frame.opcode:
            case Opcode.PONG:
                self._host.heartbeat.pong(self, bytes(frame.data))
            case Opcode.PING:
                self._session.charge_frame()
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._data(frame)

    def _data(self, frame: Frame) -> None:
        assert self._session is not None
        try:
            message = self._messages.add(frame)
        except UnicodeDecodeError:
            self._fail(closes.CLOSE_NOT_UTF8)
            return
        if message is None:
            self._session.charge_frame()
            return
        self._host.traffic.messages_received += 1
        self.deadline = None  # it has spoken in time
        self._session.received(message, text=self._messages.text)

    def _fail(self, close: closes.Close) -> None:
        assert self._protocol is not None
        self._protocol.fail(close.code, close.reason)
        self._begin_closing()

    def _transmit(self) -> None:
        """Write what the protocol object has to say."""
        if self._protocol is None:
            return
        for data in self._protocol.data_to_send():
            if data:
                self.reply(data)
            else:
                self._finish()

    # The end.

    def _begin_closing(self) -> None:
        self.state = State.CLOSING
        self.deadline = self._host.clock() + CLOSE_SECONDS
        self._ends_at = None
        self._end_session()

    def _finish(self) -> None:
        """Send what is left, then the end of our side; the other side's is waited for, bounded."""
        self.state = State.CLOSING
        self.deadline = self._host.clock() + CLOSE_SECONDS
        try:
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        except OSError:  # the other side did not wait for an answer
            self.terminate()

    def _end_session(self) -> None:
        """Take the client out of the hub: what goes round the protocol would come too late."""
        session, self._session = self._session, None
        if session is not None:
            session.closed()
            self._host.heartbeat.forget(self)
