"""What a session talks to: its connection, and what checks its tokens."""

from collections.abc import Callable
from typing import Protocol

from percolator.fanout.followers import Writer
from percolator.model import closes
from percolator.model.channel import Channel


class Grant(Protocol):
    """What a token allows: `channels` are patterns, `expires` is in Unix seconds."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The patterns."""

    @property
    def expires(self) -> float:
        """When it ends, in Unix seconds."""

    def covers(self, channel: Channel) -> bool:
        """True if a pattern matches the channel."""


Verify = Callable[[str], Grant | None]
"""Returns what a token allows; None if it is not valid."""


class ClientConnection(Writer, Protocol):
    """What a session needs of its connection."""

    @property
    def address(self) -> str:
        """The key that the client is counted under."""

    def reply(self, data: bytes) -> None:
        """Write a reply; a client that asks and does not read is cut off."""

    def close(self, close: closes.Close) -> None:
        """Send a close frame, and end the connection."""

    def end_at(self, time: float, close: closes.Close) -> None:
        """Close at a time on the clock; replaces a time that was set before."""
