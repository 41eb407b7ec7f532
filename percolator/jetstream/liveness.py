"""Liveness: what to do where the other side may be gone without a word."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import nats.errors
from nats.aio.client import Client

ALIVE_SECONDS = 1
"""For a connection to answer."""
HEDGE_SECONDS = 0.5

T = TypeVar("T")


def raise_if_cancelled() -> None:
    """Raise CancelledError where the running task was cancelled; to be called in every long loop.

    nats-py swallows a cancellation that reaches it while it writes.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def is_alive(client: Client) -> bool:
    """Tell whether a connection still answers."""
    try:
        await client.flush(ALIVE_SECONDS)
    except (nats.errors.Error, OSError):
        return False
    # nats-py stops reading for good at a message that it cannot parse; `flush` then says nothing.
    return client._reading_task is not None and not client._reading_task.done()  # noqa: SLF001


async def hedged(ask: Callable[[], Coroutine[None, None, T]]) -> T:
    """Ask, and ask again while there is no answer; the first one counts, whatever it is.

    The server that was asked may be gone or frozen, and whoever takes its place has not heard the
    question. `ask` has a timeout of its own.
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
        for each in asked:
            each.add_done_callback(_heard)
            each.cancel()


def _heard(answer: asyncio.Task[T]) -> None:
    """Take note of an answer that is not needed any more, so that nobody misses it."""
    if not answer.cancelled():
        answer.exception()
