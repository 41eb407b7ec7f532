"""What a connection talks to: its session on one side, its gateway on the other."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request, Response

from percolator.gateway.heartbeat import Heartbeat
from percolator.model import closes

if TYPE_CHECKING:
    from percolator.gateway.connection import Connection


class Session(Protocol):
    """What a connection talks to. The hub's client is one, an echo is another."""

    def opened(self) -> None:
        """The upgrade is done."""

    def received(self, data: bytes, *, text: bool) -> None:
        """One whole message; a text is valid UTF-8."""

    def charge_frame(self) -> None:
        """A frame that is no message, but costs as much: a ping, a fragment."""

    def paused(self) -> None:
        """The buffer is full."""

    def resumed(self) -> None:
        """The buffer has room again."""

    def closed(self) -> None:
        """It is over: give everything back."""


class Traffic(Protocol):
    """Counters of what comes in."""

    messages_received: int
    bytes_received: int


class ConnectionHost(Protocol):
    """What a connection needs of its gateway."""

    traffic: Traffic
    heartbeat: Heartbeat
    clock: Callable[[], float]
    max_message_bytes: int | None
    max_buffered_bytes: int | None

    def connection_made(self, connection: "Connection") -> bool:
        """Take a new socket in; False where there is no room for it."""

    def process_request(self, connection: "Connection", request: Request) -> Response | None:
        """Answer a plain request, or refuse an upgrade; None lets the upgrade go on."""

    def admit(self, connection: "Connection") -> Session | closes.Close:
        """Reserve a place and give the session to talk to, or say why there is none."""

    def connection_lost(self, connection: "Connection") -> None:
        """Give back everything that the connection held."""
