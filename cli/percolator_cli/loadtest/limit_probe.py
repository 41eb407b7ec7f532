"""Opens connections to test a gateway's limits, sends requests and reports how each one ended."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)

from percolator import openssl
from percolator.client.address import GatewayAddress
from percolator.client.connection import MAX_QUEUE, receive
from percolator.errors import MessageError
from percolator.model.closes import CloseCode
from percolator.model.server_messages import (
    MAX_MESSAGE_BYTES,
    Connected,
    Delivery,
    Missing,
    Pong,
    Refused,
    ServerMessage,
    Subscribed,
)
from percolator_cli.loadtest.measured import Refusal

SECONDS = 5.0
"""Seconds to wait for each reply."""
MAX_OPENING = 32
"""Maximum number of connections that are being opened at the same time."""
SMALL_BUFFER = 4_096
"""Bytes of receive buffer of a slow client."""


@dataclass
class LimitProbe:
    """Opens connections to one gateway, each from a given source address."""

    gateway: GatewayAddress
    token: str | None
    sources: Iterator[str | None]
    """Source addresses, each repeated as often as the gateway's limit per address allows."""
    _open: list[ClientConnection] = field(default_factory=list)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_OPENING))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close_all()

    async def open(self, source: str | None, *, slow: bool = False) -> ClientConnection | Refusal:
        """Open a connection and wait for its greeting, or return why it was refused.

        A `slow` one buffers little that has not been read.
        """
        try:
            async with self._room:
                client = await connect(
                    self.gateway.socket,
                    additional_headers=self.gateway.authorization(self.token),
                    compression=None,
                    max_size=MAX_MESSAGE_BYTES,
                    max_queue=1 if slow else MAX_QUEUE,
                    open_timeout=SECONDS,
                    ping_interval=None,
                    close_timeout=1,
                    proxy=None,
                    sock=await self._dial(source, slow=slow),
                )
            refusal = await until(client, Connected)
        except InvalidStatus as error:
            return Refusal(f"HTTP {error.response.status_code}", "")
        except ssl.SSLError as error:
            return Refusal("TLS", openssl.reason(error))
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError, ValueError) as error:
            return Refusal("none", str(error) or type(error).__name__)
        if isinstance(refusal, Refusal):
            return refusal
        self._open.append(client)
        return client

    async def open_many(self, count: int) -> tuple[list[ClientConnection], list[Refusal]]:
        """Open several connections, each from the next source address."""
        results = await asyncio.gather(*(self.open(next(self.sources)) for _ in range(count)))
        refusals = [each for each in results if isinstance(each, Refusal)]
        return [each for each in results if not isinstance(each, Refusal)], refusals

    async def _dial(self, source: str | None, *, slow: bool) -> socket.socket:
        """Connect a socket from a source address; a slow one has a small buffer."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            self.gateway.host, self.gateway.port, type=socket.SOCK_STREAM
        )
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        dialled = socket.socket(family, socket.SOCK_STREAM)
        try:
            dialled.setblocking(False)  # noqa: FBT003 - the socket module's signature
            if slow:
                dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            if source:
                dialled.bind((source, 0))
            async with asyncio.timeout(SECONDS):
                await loop.sock_connect(dialled, address)
        except BaseException:
            dialled.close()
            raise
        return dialled

    async def close_all(self) -> None:
        """Close all open connections."""
        closing, self._open = self._open, []
        await asyncio.gather(*(client.close() for client in closing))

    async def close_one(self) -> None:
        """Close one connection and wait until the gateway has closed it too."""
        await self._open.pop().close()


async def until(client: ClientConnection, *kinds: type) -> ServerMessage | Refusal:
    """Read until a message of one of these kinds, or until the connection ends."""
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await receive(client)
                if message is not None and isinstance(message, kinds):
                    return message
    except TimeoutError:
        return Refusal("none", f"no answer in {SECONDS:g} s")
    except MessageError as error:
        return Refusal("none", f"an invalid message: {error}")
    except ConnectionClosed:
        return Refusal(str(client.close_code), client.close_reason or "")


async def ask(client: ClientConnection, message: dict[str, Any] | str) -> ServerMessage | Refusal:
    """Send a request and return its final reply, which may be an error."""
    text = message if isinstance(message, str) else json.dumps(message)
    try:
        await client.send(text)
    except ConnectionClosed:
        return Refusal(str(client.close_code), client.close_reason or "")
    return await until(client, Subscribed, Pong, Refused)


async def send_many(client: ClientConnection, text: str, count: int) -> None:
    """Send a message many times, as far as the connection lasts."""
    with contextlib.suppress(ConnectionClosed):
        for _ in range(count):
            await client.send(text)


async def subscribe(client: ClientConnection, channels: Sequence[str]) -> ServerMessage | Refusal:
    """Subscribe and return the final reply."""
    return await ask(client, {"type": "subscribe", "channels": list(channels)})


def was_closed_for_policy(result: object) -> bool:
    """True if the connection was closed with the code that exceeded limits use."""
    return isinstance(result, Refusal) and result.code == str(CloseCode.POLICY.value)


async def read_chain(client: ClientConnection, last_seq: int) -> tuple[int, int, int]:
    """Read a channel up to a seq. Returns the numbers of events, unannounced gaps and gaps."""
    got = broken = gaps = 0
    before = 0
    try:
        async with asyncio.timeout(SECONDS):
            while before < last_seq:
                message = await receive(client)
                if isinstance(message, Missing):
                    gaps += 1
                    before = message.before - 1
                elif isinstance(message, Delivery):
                    got += 1
                    broken += message.prev is not None and message.prev > before
                    before = message.seq
    except (TimeoutError, ConnectionClosed, MessageError):
        broken += 1
    return got, broken, gaps
