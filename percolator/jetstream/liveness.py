"""Liveness: how to wait for a peer that may disappear without notice."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import nats.errors
from nats.aio.client import Client

ALIVE_SECONDS = 1
"""Seconds a connection has to answer."""
HEDGE_SECONDS = 0.5
"""Seconds without an answer after which the question is sent again."""

T = TypeVar("T")


def raise_if_cancelled() -> None:
    """Raise CancelledError if the running task was cancelled; call this in every long loop.

    nats-py swallows a cancellation that arrives while it writes.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def is_alive(client: Client) -> bool:
    """Return whether a connection still answers."""
    try:
        await client.flush(ALIVE_SECONDS)
    except (nats.errors.Error, OSError):
        return False
    # nats-py stops reading for good at a message that it cannot parse; `flush` does not show it.
    return client._reading_task is not None and not client._reading_task.done()  # noqa: SLF001


async def hedged(ask: Callable[[], Coroutine[None, None, T]]) -> T:
    """Ask, and ask again until there is an answer; the first one counts, even if it is an error.

    The server that was asked may be gone or frozen, and the one that takes its place has not
    received the question. `ask` must have its own timeout.
    """
    asked: set[asyncio.Task[T]] = set()
    try:
        while True:
            raise_if_cancelled()
            asked.add(asyncio.create_task(ask()))
            done, _ = await asyncio.wait(
                asked, timeout=HEDGE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return done.pop().result()
    finally:
        for task in asked:
            task.add_done_callback(_retrieve)
            task.cancel()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Retrieve the exception of an unneeded answer, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
