"""Parsing that goes on later: a read may hold thousands of frames, and others wait meanwhile."""

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
        self._waiting: deque[Parser] = deque()

    def add(self, connection: Parser) -> None:
        """Add a connection; it goes on after those that wait already."""
        self._waiting.append(connection)
        if len(self._waiting) == 1:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._waiting[0].parse_rest()
        self._waiting.popleft()
        if self._waiting:
            self._go_on_soon()
