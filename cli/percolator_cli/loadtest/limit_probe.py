"""One walker up to a gateway's limits: opens connections, asks, and says how each one ended."""

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from percolator.model.messages import CloseCode
from percolator_cli.gateway import GatewayAddress
from percolator_cli.loadtest.measured import Refusal

SECONDS = 5.0
"""For each answer."""
AT_ONCE = 32
SMALL_BUFFER = 4_096


@dataclass
class LimitProbe:
    """Opens connections to one gateway, each from the address that it is told."""

    gateway: GatewayAddress
    token: str | None
    sources: Iterator[str | None]
    """Addresses to come from, as many times each as the gateway takes."""
    _open: list[ClientConnection] = field(default_factory=list)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.leave()

    async def enter(self, source: str | None, *, slow: bool = False) -> ClientConnection | Refusal:
        """Open a connection, up to its greeting, or say why it was refused.

        A `slow` one takes little that it was not asked for.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else None
        try:
            async with self._room:
                client = await connect(
                    f"{self.gateway.ws}/ws",
                    additional_headers=headers,
                    compression=None,
                    max_queue=1 if slow else None,
                    open_timeout=SECONDS,
                    ping_interval=None,
                    close_timeout=1,
                    proxy=None,
                    sock=await self._dial(source, slow=slow),
                )
            refusal = await until(client, "connected")
        except InvalidStatus as error:
            return Refusal(f"HTTP {error.response.status_code}", "")
        except (OSError, InvalidHandshake, TimeoutError) as error:
            return Refusal("none", str(error) or type(error).__name__)
        if isinstance(refusal, Refusal):
            return refusal
        self._open.append(client)
        return client

    async def enter_many(self, count: int) -> tuple[list[ClientConnection], list[Refusal]]:
        """Open several, each from the next address."""
        came = await asyncio.gather(*(self.enter(next(self.sources)) for _ in range(count)))
        refusals = [each for each in came if isinstance(each, Refusal)]
        return [each for each in came if not isinstance(each, Refusal)], refusals

    async def _dial(self, source: str | None, *, slow: bool) -> socket.socket:
        """Connect a socket from an address; a slow one has a small buffer."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            self.gateway.host, self.gateway.port, type=socket.SOCK_STREAM
        )
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        dialled = socket.socket(family, socket.SOCK_STREAM)
        try:
            dialled.setblocking(False)  # noqa: FBT003 - as the socket module has it
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

    async def leave(self) -> None:
        """Close all that are open."""
        leaving, self._open = self._open, []
        await asyncio.gather(*(client.close() for client in leaving))

    async def leave_one(self) -> None:
        """Close one of them, and wait until the gateway has."""
        await self._open.pop().close()


async def until(client: ClientConnection, *types: str) -> dict[str, Any] | Refusal:
    """Read up to a message of one of some types, or to the end of the connection."""
    try:
        async with asyncio.timeout(SECONDS):
            async for text in client:
                message: dict[str, Any] = json.loads(text)
                if message.get("type") in types:
                    return message
    except TimeoutError:
        return Refusal("none", f"no answer in {SECONDS:g} s")
    except ConnectionClosed:
        pass  # the code says it
    return Refusal(str(client.close_code), client.close_reason or "")


async def ask(client: ClientConnection, message: dict[str, Any] | str) -> dict[str, Any] | Refusal:
    """Send a request and give its final reply, an error included."""
    text = message if isinstance(message, str) else json.dumps(message)
    try:
        await client.send(text)
    except ConnectionClosed:
        return Refusal(str(client.close_code), client.close_reason or "")
    return await until(client, "subscribed", "pong", "error")


async def subscribe(client: ClientConnection, channels: Sequence[str]) -> dict[str, Any] | Refusal:
    """Subscribe, and give the final reply."""
    return await ask(client, {"type": "subscribe", "channels": list(channels)})


def was_closed_for_policy(came: object) -> bool:
    """Whether an end is the one that a limit has."""
    return isinstance(came, Refusal) and came.code == str(CloseCode.POLICY.value)


async def read_chain(client: ClientConnection, last_seq: int) -> tuple[int, int, int]:
    """Read a channel up to a seq: how many events came, breaks without a gap, and gaps."""
    got = broken = gaps = 0
    before = 0
    try:
        async with asyncio.timeout(SECONDS):
            while before < last_seq:
                message = json.loads(await client.recv())
                if message["type"] == "gap":
                    gaps += 1
                    before = message["to"] - 1
                elif "seq" in message:
                    got += 1
                    broken += message["prev"] is not None and message["prev"] > before
                    before = message["seq"]
    except (TimeoutError, ConnectionClosed):
        broken += 1
    return got, broken, gaps
