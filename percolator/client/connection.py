"""A connection of the Python client: how it opens, what it may hold in memory, how it ends."""

import asyncio
import contextlib
import logging
import os
import re
import ssl

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

from percolator import openssl
from percolator.client.address import GatewayAddress
from percolator.errors import GatewayUnreachableError, MessageError, UpgradeRefusedError
from percolator.model.server_messages import MAX_MESSAGE_BYTES, ServerMessage, read

OPEN_SECONDS = 10.0
CLOSE_SECONDS = 0.8
"""Seconds that the gateway has to answer a close frame; a dead line never does."""
MAX_QUEUE = 32
"""Messages that wait to be read."""

_SILENT = logging.getLogger("percolator.client.silent")
_SILENT.setLevel(logging.CRITICAL + 1)  # the library logs whole requests, with credentials
FAULT_OF_CLIENT = 4
"""First digit of the HTTP errors that another attempt would get again,"""
PASSING = frozenset({408, 425, 429})
"""except for these."""
_HINTS = {
    401: "its proxy requires a login: put user:password@ before the host",
    403: "it refuses clients from here",
    404: "no gateway is at this path",
    426: "a proxy in between does not pass on the Upgrade header",
}


class BoundedConnection(ClientConnection):
    """A connection that reads no more while its own replies wait to be sent.

    A gateway that sends pings and reads no pongs would otherwise fill the memory with pongs.
    """

    def pause_writing(self) -> None:
        """Stop reading as well."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, unless there is still enough to read."""
        super().resume_writing()
        if not self.recv_messages.paused:
            self.transport.resume_reading()


async def open_connection(
    address: GatewayAddress, token: str | None = None, *, seconds: float = OPEN_SECONDS
) -> ClientConnection:
    """Open a connection; a token goes into its request.

    Raises GatewayUnreachableError, and of these UpgradeRefusedError for an HTTP error.
    """
    try:
        return await connect(
            address.socket,
            additional_headers=address.authorization(token),
            open_timeout=seconds,
            ping_interval=None,  # the client sends pings that the gateway counts as signs of life
            close_timeout=CLOSE_SECONDS,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUE,
            logger=_SILENT,
            proxy=None if address.is_local else True,
            create_connection=BoundedConnection,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        hint = f": {_HINTS[status]}" if status in _HINTS else ""
        is_final = status // 100 == FAULT_OF_CLIENT and status not in PASSING
        raise UpgradeRefusedError(f"it answers HTTP {status}{hint}", is_final=is_final) from None
    except (OSError, InvalidHandshake, InvalidProxy, InvalidURI, ImportError, ValueError) as error:
        raise GatewayUnreachableError(_reason(error)) from None


def _reason(error: Exception) -> str:  # noqa: PLR0911 - a sentence per kind
    """Return why a connection could not be opened, without an address: it may have a password."""
    match error:
        case ssl.SSLError():  # some of TLS's errors are ValueErrors too
            return f"the TLS handshake failed: {openssl.reason(error)}"
        case TimeoutError():
            return "timed out"
        case OSError():
            number = re.search(r"\[Errno (\d+)\]", str(error))  # of several addresses, the first
            text = os.strerror(int(number[1])) if number else error.strerror or str(error)
            return (text or type(error).__name__).lower()
        case InvalidProxy():
            return f"the address of the proxy in the environment is not valid: {error.msg}"
        case ProxyError():
            return f"the proxy in the environment does not connect: {error}"
        case ImportError():
            return "a SOCKS proxy in the environment needs the package python-socks"
        case InvalidHandshake():
            return f"it does not answer like a gateway: {error}"
        case _:
            return "it redirects to an address that is not valid"


async def receive(socket: ClientConnection) -> ServerMessage | None:
    """Wait for the next message. Raises MessageError."""
    text = await socket.recv()
    if isinstance(text, bytes):
        raise MessageError("it is binary")
    return read(text)


async def leave(socket: ClientConnection) -> None:
    """Close a connection with 1000, and end it in any case within CLOSE_SECONDS."""
    closing = asyncio.create_task(socket.close())
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:  # the gateway's close frame comes behind what is on its way
                    await socket.recv()
    except TimeoutError:
        pass
    finally:
        socket.transport.abort()
    await closing
