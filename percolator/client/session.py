"""One connection's life: the greeting, the token, requests, messages, and its end."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from pydantic_core import to_json
from websockets.asyncio.client import ClientConnection

from percolator.client.channels import Arrival, Channels
from percolator.client.connection import OPEN_SECONDS, receive
from percolator.client.liveness import Liveness
from percolator.client.messages import State
from percolator.client.tokens import LEAST_SECONDS, TokenSource, seconds_to_renewal
from percolator.errors import GatewayUnreachableError, MessageError, RequestError
from percolator.model.server_messages import (
    Authenticated,
    Closing,
    Connected,
    Delivery,
    FeedChange,
    FeedState,
    Limits,
    Refused,
    ServerMessage,
)
from percolator.ratelimit import TokenBucket

BATCH = 64
"""Messages that are read before the program gets its turn."""
SHARE = 0.8
"""Share of the gateway's rate that requests may use; the rest is for pings and tokens."""


class Session:
    """A connection that is open. `on_change` is called when its state may have changed."""

    def __init__(
        self,
        socket: ClientConnection,
        channels: Channels,
        tokens: TokenSource | None,
        deliver: Callable[[Arrival], None],
        on_change: Callable[[], None],
    ) -> None:
        self.wanted = asyncio.Event()
        """Set when the program follows other channels."""
        self.asked: float | None = None
        """Seconds until the next attempt, if the closing gateway asked for them."""
        self.answered = False
        """True once there was more than a greeting."""
        self._socket = socket
        self._channels = channels
        self._tokens = tokens
        self._deliver = deliver
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._liveness = Liveness(lambda: self._send({"type": "ping"}), on_change)
        self._feed = FeedState()
        self._ready = asyncio.Event()
        """Set once requests are allowed."""
        self._auths = 0

    @property
    def state(self) -> State:
        """The state that it is in."""
        now = int(time.time() * 1_000)
        if self._feed.state == "stale":
            since = now if self._feed.since is None else self._feed.since
            return State("stale", "the gateway no longer hears from NATS", since=since)
        if self._liveness.silent:
            since = now - int(self._liveness.silence * 1_000)
            return State("stale", "the gateway does not answer", since=since)
        if self._ready.is_set() and self._channels.all_live:
            return State("live")
        return State("connecting", self._channels.refusal)

    async def run(self, token: str | None) -> None:
        """Follow the channels until the connection ends.

        Raises ConnectionClosed, GatewayUnreachableError, MessageError; and RequestError if the
        gateway refuses for good.
        """
        async with asyncio.timeout(OPEN_SECONDS):
            hello = await receive(self._socket)
        if not isinstance(hello, Connected):
            raise MessageError("the first one is not connected")
        self._channels.greeted(hello)
        self._feed = hello.feed
        self._on_change()
        jobs = [self._read(), self._request(hello.limits), self._liveness.watch()]
        if token is None:
            self._ready.set()
            self._on_change()
        else:
            jobs.append(self._authenticate(token))
        try:
            await _first_of(jobs)
        finally:
            if self._liveness.silent:
                self._socket.transport.abort()  # a dead line answers no close frame

    async def _read(self) -> None:
        while True:
            for _ in range(BATCH):
                message = await receive(self._socket)
                self.answered = True
                self._liveness.heard()
                self._handle(message)
            await asyncio.sleep(0)  # one read of the socket may have thousands

    def _handle(self, message: ServerMessage | None) -> None:
        match message:
            case Closing(reconnectInMs=wait):
                self.asked = None if wait is None else wait / 1_000
            case FeedChange():
                self._feed = message
            case Authenticated():
                self._ready.set()
                self._channels.retry()
            case Refused(id=str(), channel=None):  # only tokens have such an id
                self._token_refused(message)
            case _:
                for arrival in self._channels.received(message, self._loop.time()):
                    self._deliver(arrival)
        if not isinstance(message, Delivery):
            self.wanted.set()  # what was refused may be due earlier than what was waited for
            self._on_change()

    def _token_refused(self, error: Refused) -> None:
        if error.code == "auth_disabled":
            self._ready.set()
        elif error.code == "rate_limited" or (self._tokens and self._tokens.renewable):
            raise GatewayUnreachableError(f"the gateway refuses the token: {error.message}")
        else:
            raise RequestError(error.code, error.message)

    async def _authenticate(self, token: str) -> None:
        """Send the token, and a new one before it expires."""
        while True:
            self._auths += 1
            await self._send({"type": "auth", "token": token, "id": f"auth-{self._auths}"})
            assert self._tokens is not None
            await asyncio.sleep(seconds_to_renewal(token) if self._tokens.renewable else math.inf)
            token = await self._next_token(self._tokens)

    async def _next_token(self, tokens: TokenSource) -> str:
        while True:
            try:
                return await tokens.get()
            except GatewayUnreachableError:  # the connection goes on as long as its token is valid
                await asyncio.sleep(LEAST_SECONDS)

    async def _request(self, limits: Limits) -> None:
        """Send requests as soon as the limits allow."""
        await self._ready.wait()
        rate = limits.messagesPerSecond * SHARE
        bucket = TokenBucket(rate, int(limits.messageBurst * SHARE), self._loop.time())
        while True:
            self.wanted.clear()
            while (request := self._channels.next_request(self._loop.time())) is not None:
                if not bucket.take(self._loop.time()):
                    await asyncio.sleep(1 / rate)
                    continue  # the program may follow others by now
                self._channels.requested(request)
                await self._send(request)
                self._on_change()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._channels.next_retry()):
                    await self.wanted.wait()

    async def _send(self, request: dict[str, Any]) -> None:
        await self._socket.send(to_json(request).decode())


async def _first_of(jobs: list[Coroutine[Any, Any, None]]) -> None:
    """Run jobs until one ends, and raise what ended it. The others are cancelled."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
