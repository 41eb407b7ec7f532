"""Rejections: publishes on NATS which events did not validate, and why."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client

from percolator.errors import EventError
from percolator.jetstream.direct import Stored
from percolator.model.channel import REJECTED_SUBJECT

MAX_IN_FLIGHT = 1_000
"""Rejections being published at once; more are dropped."""
MAX_SUBJECT_CHARS = 256


class Rejections:
    """Publishes rejections over the connection that `client` returns, if there is one."""

    def __init__(self, client: Callable[[], Client | None]) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def report(self, stored: Stored, error: EventError, *, accepted: bool = False) -> None:
        """Publish a rejection in the background; failures are ignored.

        `accepted` is for an event that is sent to clients although something is wrong with it.
        """
        client = self._client()
        if client is None or len(self._tasks) >= MAX_IN_FLIGHT:
            return
        body = json.dumps(
            {
                "seq": stored.seq,
                "subject": stored.subject[:MAX_SUBJECT_CHARS],
                "reason": error.reason,
                **({"accepted": True} if accepted else {}),
            }
        ).encode()

        async def publish() -> None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await client.publish(REJECTED_SUBJECT, body)

        task = asyncio.get_running_loop().create_task(publish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait for the rejections that are being published."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
