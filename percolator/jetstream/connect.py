"""Connections to NATS: the one way to open them, with errors that a user can act on."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult

import nats.errors
from nats.aio.client import Client

from percolator import openssl
from percolator.errors import NatsLoginError, NatsUnreachableError
from percolator.jetstream import credentials
from percolator.jetstream.client import NatsClient
from percolator.redaction import redact_logins

CONNECT_SECONDS = 2
"""Seconds one server has to answer; all servers together have twice as long."""
CLOSE_SECONDS = 0.5
RECONNECT_SECONDS = 1
"""Seconds between two attempts to reconnect."""
PING_SECONDS = 10

UNAUTHORIZED = "authorization violation"
LOGIN_ADVICE = (
    "set nats_token or another login, or, if a gateway on this machine has started it, data_dir to "
    "the data folder of that gateway"
)

Handler = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """The address of NATS and the credentials for it. `url` may be a comma-separated list.

    `prefix` is the name of this user's share of JetStream, see `NatsClient`.
    """

    url: str
    creds: Path | None = None
    token: str | None = None
    tls_ca: Path | None = None
    prefix: str | None = None

    @property
    def requires_tls(self) -> bool:
        """True if nothing may be sent unencrypted, to any of the servers."""
        return self.tls_ca is not None or any(each.startswith("tls://") for each in self.servers)

    @property
    def has_login(self) -> bool:
        """True if there is something to log in with."""
        return bool(self.creds or self.token or "@" in self.url)

    @property
    def servers(self) -> list[str]:
        """The address of each server."""
        return [part.strip() for part in self.url.split(",")]

    @property
    def shown(self) -> str:
        """The address for messages and logs, without user and password."""
        return redact_logins(", ".join(self.servers))

    def with_login(self, found: ParseResult) -> str:
        """Return the address of a discovered server, with the login of the first configured one."""
        login, at, _ = self.servers[0].rpartition("://")[2].rpartition("@")
        return f"{found.scheme}://{login}{at}{found.netloc}"


async def connect(
    address: NatsAddress, *, name: str, reconnect: bool, closed: Handler | None = None
) -> NatsClient:
    """Connect to one of the servers of an address.

    With `reconnect`, the client reconnects forever; otherwise `closed` is called when the
    connection has ended. Raises NatsUnreachableError, and NatsUnfitError if the credentials file
    is not valid.
    """
    return await open_to(address, address.servers, name=name, reconnect=reconnect, closed=closed)


async def hang_up(client: Client) -> None:
    """Close a connection, even if the server no longer answers."""
    try:
        # After a failed TLS handshake, the library would wait forever for the socket to close.
        await asyncio.wait_for(client.close(), CLOSE_SECONDS)
    except Exception:  # noqa: BLE001, S110 - the connection is over in any case
        pass
    finally:
        # An interrupted close, by our timeout or by a cancellation, leaves the socket open.
        if client._transport is not None:  # noqa: SLF001
            with contextlib.suppress(Exception):
                client._transport.close()  # type: ignore[no-untyped-call] # noqa: SLF001


async def open_to(
    address: NatsAddress, servers: list[str], *, name: str, reconnect: bool, closed: Handler | None
) -> NatsClient:
    """Connect as `connect` does, but only to one of these servers of the address."""
    client = NatsClient(address.prefix, requires_tls=address.requires_tls)
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            # Reconnecting is enabled once connected: otherwise the first attempt would never end.
            await client.connect(
                servers=servers,
                name=name,
                inbox_prefix=client.inbox_prefix,
                error_cb=_ignore,
                closed_cb=closed,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=RECONNECT_SECONDS if reconnect else 0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                **_credentials(address),
            )
    except BaseException as error:
        await hang_up(client)
        reason = _reason(error)
        if reason is None:
            raise
        text = f"NATS at {address.shown} cannot be reached: {reason}"
        if reason.lower() == UNAUTHORIZED and not address.has_login:
            raise NatsLoginError(f"{text}; {LOGIN_ADVICE}") from None
        raise NatsUnreachableError(text) from None
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("connected to NATS at %s as %r", server_address(client), name)
    if reconnect:
        client.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
    return client


def server_address(client: Client) -> str:
    """Return the host and port of the server that a client is connected to, without login."""
    url = client.connected_url
    return redact_logins(url.netloc) if url else "its address"


async def _ignore(_error: Exception) -> None:
    """Ignore errors here: `closed` or the failing call reports them."""


def _credentials(address: NatsAddress) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if address.tls_ca is not None:
        options["tls"] = ssl.create_default_context(cafile=str(address.tls_ca))
    if address.creds is not None:
        creds = credentials.read(address.creds)
        options |= {"user_jwt_cb": creds.jwt, "signature_cb": creds.sign}
    if address.token is not None:
        options["token"] = address.token
    return options


def _reason(error: BaseException) -> str | None:
    """Return why a connection failed, in words; None if the error is of another kind."""
    match error:
        case nats.errors.NoServersError():
            return "nothing answers there"
        case TimeoutError():
            return "no answer in time"
        case nats.errors.Error():
            return str(error).removeprefix("nats: ").strip("'\"")
        case ssl.SSLError():
            return f"the TLS handshake failed: {openssl.reason(error)}"
        case OSError() | ValueError():
            return str(getattr(error, "strerror", None) or error)
        case _:
            return None
