"""Fair slots: a few may work at once, and the others wait in turn by key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from percolator.fair_queue import FairQueue


class FairSlots:
    """A number of slots; each free one goes to the next key that waits."""

    def __init__(self, count: int) -> None:
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(count, count)

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """Hold a slot within the block; wait for one if none is free."""
        turn = asyncio.get_running_loop().create_future()
        self._queue.add(key, turn)
        self._pass_on()
        try:
            await turn
            yield
        finally:
            self._queue.remove(key, turn)
            self._pass_on()

    def _pass_on(self) -> None:
        while turn := self._queue.start():
            if not turn.cancelled():
                turn.set_result(None)
