"""The sweep: what a gateway does by the clock, for all connections.

No connection has a timer of its own. What concerns all of them is spread over turns of the loop.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from percolator.gateway.connection import Connection
from percolator.gateway.heartbeat import TICK_SECONDS, Heartbeat
from percolator.gateway.listener import Listener
from percolator.gateway.parsing import ParsingTurns
from percolator.gateway.ports import Session
from percolator.histogram import SECONDS, Histogram

SWEEP_SECONDS = 1.0
"""Seconds between two checks of all deadlines."""
ENDS_AT_ONCE = 16
"""Connections past their deadlines that are ended in one turn of the loop."""
VISITS_AT_ONCE = 100
"""Clients that are visited in one turn of the loop."""


class Swept(Protocol):
    """What the sweep needs of its gateway."""

    clock: Callable[[], float]
    heartbeat: Heartbeat
    parsing: ParsingTurns
    connections: dict[Connection, None]

    def swept(self) -> None:
        """Do what else is due once per second."""


class Sweep:
    """Runs the heartbeat ten times per second, and checks deadlines once."""

    def __init__(self, gateway: Swept, listener: Listener) -> None:
        self.loop_lag = Histogram(SECONDS)
        """Seconds by which ticks were late."""
        self._gateway = gateway
        self._listener = listener

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            group.create_task(self._sweep())

    async def _tick(self) -> None:
        gateway, clock = self._gateway, self._gateway.clock
        due = clock()
        while True:
            due = max(due + TICK_SECONDS, clock())
            await asyncio.sleep(due - clock())
            self.loop_lag.add(clock() - due)
            gateway.heartbeat.tick()
            gateway.parsing.tick(clock())
            self._listener.cut_slow_handshakes()

    async def _sweep(self) -> None:
        gateway = self._gateway
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self._end_expired()
            await visit(gateway.connections, lambda session: session.beat(gateway.clock()))
            gateway.swept()

    async def _end_expired(self) -> None:
        for number, end in enumerate(self.expired(), start=1):
            end()
            if number % ENDS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def expired(self) -> Iterator[Callable[[], None]]:
        """Yield what ends each connection and socket that is past its deadline."""
        now = self._gateway.clock()
        late = [each for each in self._gateway.connections if each.past_deadline(now)]
        yield from self._listener.expired()
        for connection in late:
            if connection.past_deadline(now):
                yield connection.expired


async def visit(connections: Collection[Connection], act: Callable[[Session], None]) -> None:
    """Do something with the session of each client, some of them in each turn of the loop."""
    for number, connection in enumerate(list(connections), start=1):
        connection.visit(act)
        if number % VISITS_AT_ONCE == 0:
            await asyncio.sleep(0)
