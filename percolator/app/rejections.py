"""Rejections: keeps the newest, for operators, and publishes each on NATS, for publishers."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client

from percolator.errors import EventError
from percolator.jetstream.direct import Stored
from percolator.model.channel import REJECTED_SUBJECT
from percolator.model.rejection import KeptRejections, WaitingRejections, reject

AT_ONCE = 20
PAUSE_SECONDS = 0.02
"""Seconds between two rounds of AT_ONCE rejections: a flood costs no more than 1,000 per second."""


class Rejections:
    """Keeps rejections, and publishes them over the connection that `client` returns, if any."""

    def __init__(self, client: Callable[[], Client | None], epoch: Callable[[], str]) -> None:
        """`epoch` returns what identifies the stream that is being read."""
        self.kept = KeptRejections(run=secrets.token_hex(4))
        self._client = client
        self._epoch = epoch
        self._waiting = WaitingRejections()
        self._publishing: asyncio.Task[None] | None = None
        self._stopping = False

    def report(self, stored: Stored, error: EventError, *, accepted: bool = False) -> None:
        """Keep a rejection, and publish it in the background; failures to publish are ignored.

        `accepted` is for an event that is sent to clients although something is wrong with it.
        """
        rejection = reject(
            error,
            epoch=self._epoch(),
            seq=stored.seq,
            subject=stored.subject,
            message_id=stored.id,
            payload=stored.payload,
            time=stored.time // 1_000_000,
            accepted=accepted,
        )
        self.kept.add(rejection)
        if self._client() is None:
            return
        self._waiting.add(rejection)
        if self._publishing is None:
            self._publishing = asyncio.get_running_loop().create_task(self._publish())

    async def stop(self) -> None:
        """Publish what waits, without pauses."""
        self._stopping = True
        if self._publishing is not None:
            await asyncio.wait([self._publishing])

    async def _publish(self) -> None:
        try:
            while self._waiting and (client := self._client()):
                for _ in range(min(AT_ONCE, len(self._waiting))):
                    with contextlib.suppress(nats.errors.Error, OSError):
                        await client.publish(REJECTED_SUBJECT, self._waiting.next().json)
                await asyncio.sleep(0 if self._stopping else PAUSE_SECONDS)
        finally:
            self._publishing = None
