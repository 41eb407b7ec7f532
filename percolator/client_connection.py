"""The connection of the Python client: how it opens, and what it may hold in memory."""

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI

from percolator.errors import MessageError
from percolator.model.server_messages import MAX_MESSAGE_BYTES, ServerMessage, read

OPEN_SECONDS = 10.0
PING_SECONDS = 20.0
CLOSE_SECONDS = 1.0
MAX_QUEUE = 32
"""Messages that wait for the caller; the rest waits in the gateway, which skips old prices."""


class BoundedConnection(ClientConnection):
    """A connection that reads no more while its own replies wait to be sent.

    A gateway that sends pings and reads no pongs would otherwise fill the memory with pongs.
    """

    def pause_writing(self) -> None:
        """Stop reading as well."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, unless the caller still has enough to read."""
        super().resume_writing()
        if not self.recv_messages.paused:
            self.transport.resume_reading()


async def open_connection(address: str, token: str | None) -> ClientConnection:
    """Open a connection. Raises OSError, InvalidHandshake, TimeoutError."""
    try:
        return await connect(
            address,
            additional_headers={"Authorization": f"Bearer {token}"} if token else None,
            open_timeout=OPEN_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUE,
            create_connection=BoundedConnection,
        )
    except OSError:  # some of TLS's errors are ValueErrors too
        raise
    except (InvalidURI, ValueError):
        raise InvalidHandshake("it redirects to an address that is not valid") from None


async def receive(socket: ClientConnection) -> ServerMessage | None:
    """Wait for the next message. Raises MessageError."""
    text = await socket.recv()
    if isinstance(text, bytes):
        raise MessageError("it is binary")
    return read(text)
