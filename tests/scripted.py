"""A scripted gateway: a real server on a real socket that answers as a test wants it to.

Unless a test replaces its answers, it accepts every request, and it records all of them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.gateway import eventually

Message = dict[str, Any]
Answer = Callable[["Peer", Message], Awaitable[None]]

CONNECTED: Message = {"type": "connected", "epoch": "e", "seq": 5}
NO_LIMITS = dict.fromkeys(
    ("messageBytes", "messagesPerSecond", "messageBurst", "channels", "replay"), 0
)


def trade(seq: int, prev: int | None = None, slab: str = "SOL", **fields: object) -> Message:
    """Return the message of a trade."""
    usual = {"side": "long", "size": str(seq), "price": 1.5, "timestamp": 1}
    return {"type": "trade", "slab": slab, **usual, "seq": seq, "prev": prev, **fields}


def price(seq: int, slab: str = "SOL", **fields: object) -> Message:
    """Return the message of a price, which is the seq."""
    return {"type": "price", "slab": slab, "price": seq, "timestamp": 1, "seq": seq, **fields}


class Peer:
    """One client of the gateway: its requests, and a way to send to it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.requests: list[Message] = []
        self.times: list[float] = []
        """When each request came, on the loop's clock."""
        self.sizes: list[int] = []
        """The bytes of each request."""

    async def send(self, *messages: Message) -> None:
        """Send messages."""
        for message in messages:
            await self.socket.send(json.dumps(message))

    async def accept(self, request: Message, **fields: object) -> None:
        """Answer a request with success."""
        match request["type"]:
            case "subscribe":
                await self.reply(request, "subscribed", channels=request["channels"], **fields)
            case "unsubscribe":
                await self.reply(request, "unsubscribed", channels=request["channels"])
            case "auth":
                await self.reply(request, "authenticated", channels=["*"])
            case "ping":
                await self.reply(request, "pong", timestamp=1)

    async def refuse(self, request: Message, code: str, channel: str | None = None) -> None:
        """Answer a request, or one channel of it, with an error."""
        fields = {} if channel is None else {"channel": channel}
        await self.reply(request, "error", code=code, message=f"no: {code}", **fields)

    async def reply(self, request: Message, kind: str, **fields: object) -> None:
        """Answer a request; its id is repeated."""
        ids = {"id": request["id"]} if "id" in request else {}
        await self.send({"type": kind, **fields, **ids})

    def asked(self, kind: str) -> list[Message]:
        """Return the requests of a type."""
        return [each for each in self.requests if each["type"] == kind]

    @property
    def close_code(self) -> int | None:
        """The code that the client closed with; None as long as it is connected."""
        return self.socket.close_code


class ScriptedGateway:
    """What it says first, how it answers, and who is or was connected."""

    def __init__(self) -> None:
        self.hello: Message | None = CONNECTED
        self.answer: Answer = Peer.accept
        self.peers: list[Peer] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"ws://127.0.0.1:{self.port}"

    async def peer(self, number: int = 1) -> Peer:
        """Wait for the client with this number, counted from 1, and return it."""
        await eventually(lambda: len(self.peers) >= number)
        return self.peers[number - 1]

    async def subscribed(self, number: int = 1) -> Peer:
        """Wait until a client has been answered its first subscribe."""
        peer = await self.peer(number)
        await eventually(lambda: bool(peer.asked("subscribe")))
        return peer

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one client."""
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.headers.append({k.lower(): v for k, v in socket.request.headers.raw_items()})
        peer = Peer(socket)
        self.peers.append(peer)
        try:
            if self.hello is not None:
                await peer.send(self.hello)
            async for text in socket:
                peer.times.append(asyncio.get_running_loop().time())
                peer.sizes.append(len(text))
                request = json.loads(text)
                await self.answer(peer, request)
                peer.requests.append(request)
        except ConnectionClosed:
            pass


@asynccontextmanager
async def scripted(**answers: object) -> AsyncIterator[ScriptedGateway]:
    """Run a scripted gateway; `answers` are its attributes."""
    gateway = ScriptedGateway()
    for name, answer in answers.items():
        setattr(gateway, name, answer)
    server: Server = await serve(
        gateway.serve, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1
    )
    async with server:
        gateway.port = server.sockets[0].getsockname()[1]
        yield gateway
