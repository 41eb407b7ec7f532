"""Answers that take a while: the connections that wait for one, and the work on some of them.

A few are worked on at once, in turn by network; the others wait without a task or a timer. A client
that leaves ends the work on its answer. The sweep ends a wait that lasts too long.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from websockets.http11 import Response

from percolator.fair_queue import FairQueue
from percolator.gateway import responses
from percolator.gateway.addresses import tiers

MAX_WORK = 8
"""Answers that are worked on at once."""
WORK_PER_NETWORK = 4
"""The same per address, or per /48 of IPv6."""
ANSWER_SECONDS = 8.0
"""Seconds after which a request is answered with 503."""

Work = Callable[[], Awaitable[Response]]
"""Makes a response; it is called when its turn comes, and may be cancelled."""

logger = logging.getLogger(__name__)


class Later(NamedTuple):
    """An answer that takes a while. `headers` are added to it, or to what takes its place."""

    work: Work
    headers: dict[str, str]


class Waiting(Hashable, Protocol):
    """A connection that waits for its answer."""

    id: int
    address: str

    def answer(self, response: Response) -> None:
        """Send the response, if the client is still there."""


C = TypeVar("C", bound=Waiting)


class Answering(Generic[C]):
    """All connections that wait for their answer."""

    def __init__(self) -> None:
        self._waiting: dict[C, Later] = {}
        self._turns: FairQueue[C] = FairQueue(MAX_WORK, WORK_PER_NETWORK)
        self._tasks: dict[C, asyncio.Task[None]] = {}
        self._stopping = False

    def __len__(self) -> int:
        """Return how many wait, or have work that has not ended yet."""
        return len(self._waiting | self._tasks)

    def add(self, connection: C, later: Later) -> None:
        """Answer a connection when its turn comes."""
        self._waiting[connection] = later
        if self._stopping:
            self.give_up(connection, responses.shutting_down())
            return
        self._turns.add(_network(connection), connection)
        self._start()

    def forget(self, connection: C) -> None:
        """End the work for a connection that needs no answer any more."""
        self._waiting.pop(connection, None)
        if task := self._tasks.get(connection):
            task.cancel()  # it keeps its place until it has ended
        else:
            self._turns.remove(_network(connection), connection)

    def give_up(self, connection: C, response: Response) -> None:
        """Answer a connection with what is not the result of its work."""
        self._answer(connection, response)
        self.forget(connection)

    async def stop(self) -> None:
        """Answer all connections that a shutdown has begun, and end the work for them.

        Those that come later get the same answer at once.
        """
        self._stopping = True
        for connection in list(self._waiting):
            self.give_up(connection, responses.shutting_down())
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self) -> None:
        while (connection := self._turns.start()) is not None:
            work = self._work(connection, self._waiting[connection].work)
            task = self._tasks[connection] = asyncio.get_running_loop().create_task(work)
            task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: C, _task: asyncio.Task[None]) -> None:
        del self._tasks[connection]
        self._turns.remove(_network(connection), connection)
        self._start()

    async def _work(self, connection: C, work: Work) -> None:
        try:
            response = await work()
        except Exception:
            logger.exception("conn %d: an answer failed", connection.id)
            response = responses.internal_error()
        self._answer(connection, response)

    def _answer(self, connection: C, response: Response) -> None:
        later = self._waiting.pop(connection, None)
        if later is not None:
            response.headers.update(later.headers)
            connection.answer(response)


def _network(connection: Waiting) -> str:
    return tiers(connection.address)[-1].key
