"""What a connection talks to: its session on one side, its gateway and the routes on the other.

These protocols keep `connection` from importing the hub's sessions and `server`, which imports it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from websockets.http11 import Request, Response

from percolator.gateway.answering import Answering, Later, Work
from percolator.gateway.heartbeat import Heartbeat
from percolator.gateway.parsing import ParsingTurns
from percolator.model import closes
from percolator.stats import Stats

C_contra = TypeVar("C_contra", contravariant=True)
"""The type of the connections of a host."""


class Routes(Protocol):
    """The paths of plain requests."""

    def __call__(self, request: Request, path: str, address: str) -> Response | Work | None:
        """Return the response to a GET from an address, or the work that makes it.

        None if there is no such path.
        """

    def is_shared(self, path: str) -> bool:
        """Return whether pages of allowed origins may read a path."""


class Session(Protocol):
    """One client's session, for example with the hub."""

    def opened(self) -> None:
        """Start: the upgrade is done."""

    def received(self, data: bytes, *, text: bool) -> None:
        """Handle one whole message; if it is text, it is valid UTF-8."""

    def charge_frame(self) -> None:
        """Count a frame that completes no message but costs as much.

        That is a ping, a fragment, or a pong that answers no ping of ours.
        """

    def waits_until(self) -> float | None:
        """Return when the next frame may be read, None for now; it may close the connection."""

    def tell_feed(self) -> None:
        """Send whether the feed is live, if the client was told otherwise."""

    def beat(self, now: float) -> None:
        """Send a heartbeat if nothing has been sent for a while."""

    def paused(self) -> None:
        """Stop sending: the buffer is full."""

    def resumed(self) -> None:
        """Continue: the buffer has drained."""

    def closed(self) -> None:
        """Release everything: the connection has ended."""


class ConnectionHost(Protocol[C_contra]):
    """What a connection needs of its gateway."""

    ids: Iterator[int]
    stats: Stats
    heartbeat: Heartbeat
    parsing: ParsingTurns
    answering: Answering[Any]
    clock: Callable[[], float]
    max_message_bytes: int | None
    max_buffered_bytes: int | None

    def connection_made(self, connection: C_contra) -> None:
        """Register a new connection."""

    def process_request(self, connection: C_contra, request: Request) -> Response | Later | None:
        """Return the response to a plain request or a refused upgrade, None to upgrade."""

    def admit(self, connection: C_contra) -> Session | closes.Close:
        """Reserve a place and return the session, or the reason to close."""

    def answered(self, connection: C_contra, unread: int) -> None:
        """Note that a request was answered, and how many bytes the client has not read yet."""

    def connection_lost(self, connection: C_contra) -> None:
        """Release everything that the connection held."""
