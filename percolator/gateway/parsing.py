"""Parsing that goes on later: because a read was long, or because its client is over its rate.

A connection whose parsing waits reads nothing meanwhile. None has a timer or a task of its own.
"""

import asyncio
from collections import deque
from typing import Protocol


class Parser(Protocol):
    """A connection whose last read is not parsed to its end."""

    def parse_rest(self) -> None:
        """Go on for another turn."""


class ParsingTurns:
    """The connections that have to go on; each turn of the loop is one's."""

    def __init__(self) -> None:
        self.waiting: dict[Parser, float] = {}
        """The connections that are over their rate, and when they may go on."""
        self._turns: deque[Parser] = deque()

    def add(self, connection: Parser) -> None:
        """Add a connection; it goes on after those that wait already."""
        self._turns.append(connection)
        if len(self._turns) == 1:
            self._go_on_soon()

    def wait(self, connection: Parser, until: float) -> None:
        """Continue a connection at the first tick after a time on the clock."""
        self.waiting[connection] = until

    def stop_waiting(self, connection: Parser) -> None:
        """Continue a connection now, if it waits."""
        if self.waiting.pop(connection, None) is not None:
            self.add(connection)

    def forget(self, connection: Parser) -> None:
        """Drop a connection that is gone."""
        self.waiting.pop(connection, None)

    def tick(self, now: float) -> None:
        """Continue the connections whose time has come."""
        for connection in [each for each, until in self.waiting.items() if until <= now]:
            self.stop_waiting(connection)

    def _go_on_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._turns[0].parse_rest()
        self._turns.popleft()
        if self._turns:
            self._go_on_soon()
