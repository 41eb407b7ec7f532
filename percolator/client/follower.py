"""The follower: one connection after the other, and the state that the program is shown."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from websockets.exceptions import ConnectionClosed

from percolator.client.address import GatewayAddress
from percolator.client.backoff import Backoff
from percolator.client.bookmark import Bookmark
from percolator.client.channel import Channel
from percolator.client.channels import Arrival, Channels
from percolator.client.connection import leave, open_connection
from percolator.client.inbox import Inbox
from percolator.client.messages import Message, State
from percolator.client.session import Session
from percolator.client.tokens import TokenSource
from percolator.errors import (
    GatewayUnreachableError,
    MessageError,
    PercolatorError,
    UpgradeRefusedError,
)
from percolator.printable import printable
from percolator.redaction import redact_logins, redact_tokens

REASON_CHARS = 200
"""Characters of a gateway's text in a reason."""

MAX_CAUSES = 100
"""Causes of failed attempts that are logged: a gateway could make up any number of them."""
logger = logging.getLogger(__name__)


class Follower:
    """Follows channels in a task of its own, which ends when it is closed or refused for good."""

    def __init__(
        self,
        address: GatewayAddress,
        tokens: TokenSource | None,
        on_state: Callable[[State], None] | None,
    ) -> None:
        self.channels = Channels(renewable=tokens is not None and tokens.renewable)
        self.state = State("connecting", since=_now())
        self.closed = False
        self._address = address
        self._tokens = tokens
        self._on_state = on_state
        self._inbox = Inbox()
        self._news = asyncio.Event()
        self._backoff = Backoff()
        self._session: Session | None = None
        self._greeted = False
        """True once a gateway has greeted: then it is one, whatever a proxy says later."""
        self._causes: set[str] = set()
        """Why attempts have failed since it was live, as far as that was logged."""
        self._told = ("", "")
        """Name and reason of the state that the program was told last."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None and not self.closed:
            self._task = asyncio.create_task(self._run())

    def abandon(self) -> None:
        """End the task from any thread: nothing refers to the feed any more."""
        if self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def close(self) -> None:
        """Leave the gateway for good."""
        self.closed = True
        self._news.set()
        if self._task is None:
            self._tell(State("closed"))
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def next(self) -> Message | None:
        """Return the next message; None at the end. Raises what ended it, after all messages."""
        while not self.closed:
            if (message := self._inbox.take()) is not None:
                return message
            if self._task is not None and self._task.done():
                self.closed = True
                if not self._task.cancelled():
                    self._task.result()
                return None
            self._news.clear()
            await self._news.wait()
        return None

    def follow(self, channels: list[Channel]) -> None:
        """Follow more channels."""
        self.channels.add(channels)
        self._changed()

    def unfollow(self, names: list[str]) -> None:
        """Follow channels no longer, and drop what waits of them."""
        self.channels.remove(names)
        self._inbox.discard(self.channels.by_name)
        self._changed()

    def bookmark(self) -> Bookmark:
        """Return how far the program has read: what waits for it does not count."""
        positions = {each.name: each.position for each in self.channels.by_name.values()}
        positions |= self._inbox.positions()
        return Bookmark({name: each for name, each in positions.items() if each is not None})

    async def _run(self) -> None:
        why = ""
        try:
            while True:
                self._tell(State("connecting"))
                reason, delay = await self._attempt()
                if reason not in self._causes and len(self._causes) < MAX_CAUSES:
                    self._causes.add(reason)
                    logger.info("not connected to %s: %s; trying again", self._address.ws, reason)
                self._tell(State("waiting", reason, delay))
                await asyncio.sleep(delay)
        except PercolatorError as error:
            why = _shown(str(error))
            raise
        finally:
            self._tell(State("closed", why))
            self._news.set()
            if self._tokens is not None:
                await self._tokens.close()

    async def _attempt(self) -> tuple[str, float]:
        """Connect, and read until the connection ends. Returns why it ended, and the next wait."""
        opened = time.monotonic()
        session: Session | None = None
        try:
            token = await self._tokens.get() if self._tokens else None
            opened = time.monotonic()
            socket = await open_connection(self._address)
            try:
                session = self._session = Session(
                    socket, self.channels, self._tokens, self._arrived, self._changed_state
                )
                await session.run(token)
            finally:
                self._session = None
                self.channels.disconnected()
                await leave(socket)
        except ConnectionClosed as closed:
            reason = _end(closed)
        except MessageError as error:
            reason = f"the gateway sent an invalid message: {error}"
        except UpgradeRefusedError as error:
            if not self._greeted and error.is_final:
                text = f"no gateway at {self._address.ws}: {error}"
                raise GatewayUnreachableError(text) from None
            reason = str(error)
        except GatewayUnreachableError as error:
            reason = str(error)
        except TimeoutError:
            reason = "the gateway does not greet"
        self._greeted = self._greeted or (session is not None and session.answered)
        lasted = time.monotonic() - opened
        asked, data = (session.asked, session.answered) if session else (None, False)
        return _shown(reason), self._backoff.delay(lasted, asked, data=data)

    def _arrived(self, arrival: Arrival) -> None:
        self._inbox.put(arrival)
        self._news.set()

    def _changed(self) -> None:
        if self._session is not None:
            self._session.wanted.set()
            self._changed_state()

    def _changed_state(self) -> None:
        session = self._session
        assert session is not None
        if session.state.name == "live":
            self._causes.clear()
        self._tell(session.state)

    def _tell(self, state: State) -> None:
        """Change the state, and tell the program, unless it was told already."""
        told = state.name, state.reason
        if self._told == told and state.name != "waiting":
            return
        self._told = told
        self.state = state if state.since else replace(state, since=_now())
        if self._on_state is not None:
            try:
                self._on_state(self.state)
            except Exception:
                logger.exception("on_state failed")


def _end(closed: ConnectionClosed) -> str:
    """Return who ended a connection, and why."""
    if closed.rcvd is not None:
        return closed.rcvd.reason or f"closed with {closed.rcvd.code}"
    if closed.sent is not None:
        return f"the gateway broke the protocol: {closed.sent.reason or closed.sent.code}"
    return "the connection was lost"


def _shown(reason: str) -> str:
    return printable(redact_tokens(redact_logins(reason)), REASON_CHARS)


def _now() -> int:
    return int(time.time() * 1_000)
