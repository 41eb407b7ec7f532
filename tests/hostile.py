"""A hostile gateway: a raw server that answers each request with whatever bytes a test chooses."""

import base64
import hashlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.frames import CloseCode, Frame, Opcode

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONNECTED = {"type": "connected", "epoch": "e", "seq": 5}
SUBSCRIBED = {"type": "subscribed", "channels": ["trades:SOL"]}
TRADE = {"type": "trade", "slab": "SOL", "side": "long", "size": "1", "price": 1.5}
TRADE |= {"timestamp": 1, "seq": 6, "prev": 0}

ESCAPES = "\x1b]0;taken\x07\x1b[31m\x9b2J\u202e\u200b[red]x[/red]\r\n"
"""What could harm a terminal, turn a line around, or colour it."""
HARMFUL = ("\x1b]", "\x1b[31m", "\x07", "\x9b", "\u202e", "\u200b", "\r")

CLOSES = 0x80 | Opcode.CLOSE
LENGTH, TWO_BYTES, MASK_BYTES = 0x7F, 126, 4

Speak = Callable[[socket.socket], None]
"""What a hostile gateway does with a WebSocket after its handshake."""


def text(message: object) -> bytes:
    """Return the frame of a message: a string as it is, anything else as JSON."""
    payload = message if isinstance(message, str) else json.dumps(message)
    return Frame(Opcode.TEXT, payload.encode("utf-8", "surrogatepass")).serialize(mask=False)


def binary(payload: bytes) -> bytes:
    """Return the frame of a binary message."""
    return Frame(Opcode.BINARY, payload).serialize(mask=False)


def close(reason: str, code: int = CloseCode.POLICY_VIOLATION) -> bytes:
    """Return a close frame."""
    return Frame(Opcode.CLOSE, code.to_bytes(2) + reason.encode()).serialize(mask=False)


def page(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """Return an HTTP response: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content


def saying(first: bytes, *frames: bytes) -> Speak:
    """Return a speaker that greets, reads a request, and sends the rest until the client goes."""

    def speak(client: socket.socket) -> None:
        client.sendall(first)
        if frames and not _closes(client):
            client.sendall(b"".join(frames))
        while not _closes(client):
            pass

    return speak


def _closes(client: socket.socket) -> bool:
    """Read one short frame; true if it is a close frame, or the client has gone."""
    head = client.recv(2, socket.MSG_WAITALL)
    if len(head) < len(b"xx") or head[0] == CLOSES:
        return True
    length = head[1] & LENGTH
    if length == TWO_BYTES:
        length = int.from_bytes(client.recv(2, socket.MSG_WAITALL))
    client.recv(MASK_BYTES + length, socket.MSG_WAITALL)
    return False


def endlessly(data: bytes, first: bytes = b"") -> Speak:
    """Return a speaker that repeats bytes until the client goes, and reads nothing."""

    def speak(client: socket.socket) -> None:
        client.sendall(first)
        while True:
            client.sendall(data)

    return speak


class HostileGateway:
    """What it answers: `pages` by path, and `speak` on each WebSocket."""

    def __init__(self) -> None:
        self.port = 0
        self.pages: dict[str, bytes | Speak] = {}
        self.speak: Speak = saying(text(CONNECTED))
        self.refusal: bytes | None = None
        """The answer to an upgrade, if it is refused."""
        self.sockets = 0
        """WebSockets opened so far."""

    @property
    def ws(self) -> str:
        """Its address for WebSocket clients."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        """Its address for HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answer one request."""
        head = b""
        while b"\r\n\r\n" not in head:
            got = client.recv(65_536)
            if not got:
                return
            head += got
        path = head.split()[1].decode()
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        key = {name.lower(): value for name, value in lines.items()}.get(b"sec-websocket-key")
        if key is None:
            answer = self.pages.get(path, page({}, "404 Not Found"))
            if isinstance(answer, bytes):
                client.sendall(answer)
            else:
                answer(client)
        elif self.refusal is not None:
            client.sendall(self.refusal)
        else:
            self.sockets += 1
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - RFC 6455
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.speak(client)


@contextmanager
def listening(serve: Speak) -> Iterator[int]:
    """Serve each connection in a thread; yields the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client goes when it likes
                serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hostile_gateway(
    kind: type[HostileGateway] = HostileGateway,
    **answers: Any,  # noqa: ANN401 - its attributes
) -> Iterator[HostileGateway]:
    """Run a hostile gateway in a thread."""
    gateway = kind()
    for name, answer in answers.items():
        setattr(gateway, name, answer)
    with listening(gateway.serve) as gateway.port:
        yield gateway
