"""Connections to NATS: one way to open one, with errors that a person can act on."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult

import nats.errors
from nats.aio.client import Client

from percolator import openssl
from percolator.errors import NatsUnreachableError
from percolator.jetstream import credentials
from percolator.redaction import redact_logins

CONNECT_SECONDS = 2
CLOSE_SECONDS = 0.5
RECONNECT_SECONDS = 1
PING_SECONDS = 10

Handler = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """Where NATS is, and how to get in. `url` may hold several, divided by commas."""

    url: str
    creds: Path | None = None
    token: str | None = None
    tls_ca: Path | None = None

    @property
    def wants_tls(self) -> bool:
        """True where nothing may be said in plain."""
        return self.tls_ca is not None or self.url.strip().startswith("tls://")

    @property
    def servers(self) -> list[str]:
        """The address of each server."""
        return [part.strip() for part in self.url.split(",")]

    @property
    def shown(self) -> str:
        """The address for people: without user and password."""
        return redact_logins(", ".join(self.servers))

    def login_to(self, found: ParseResult) -> str:
        """Name a server that a cluster has told of, with the user of the first that was named."""
        login, at, _ = self.servers[0].rpartition("://")[2].rpartition("@")
        return f"{found.scheme}://{login}{at}{found.netloc}"


async def connect(
    address: NatsAddress, *, name: str, reconnect: bool, closed: Handler | None = None
) -> Client:
    """Connect. With `reconnect`, the client comes back without end; else `closed` tells of its end.

    Raises NatsUnreachableError, and NatsUnfitError where the credentials file is none.
    """
    return await open_to(address, address.servers, name=name, reconnect=reconnect, closed=closed)


async def hang_up(client: Client) -> None:
    """Close a connection, also where the other side does not answer any more."""
    try:
        # After a TLS handshake that failed, the library would wait for its end for ever.
        await asyncio.wait_for(client.close(), CLOSE_SECONDS)
    except Exception:  # noqa: BLE001, S110 - it is over, in whatever way
        pass
    finally:
        # A close that is cut short, by us or by a cancellation, leaves the socket open.
        if client._transport is not None:  # noqa: SLF001
            with contextlib.suppress(Exception):
                client._transport.close()  # type: ignore[no-untyped-call] # noqa: SLF001


async def open_to(
    address: NatsAddress, servers: list[str], *, name: str, reconnect: bool, closed: Handler | None
) -> Client:
    """Connect to one of these servers of an address, as `connect` does."""
    client = _ClientOverTls() if address.wants_tls else Client()
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            # It reconnects once it is connected: else the first try would never come to an end.
            await client.connect(
                servers=servers,
                name=name,
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
        raise NatsUnreachableError(f"NATS at {address.shown} cannot be reached: {reason}") from None
    if reconnect:
        client.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
    return client


class _ClientOverTls(Client):
    """The library upgrades where the server asks for it; this one leaves where it does not.

    Else whoever stands between the two could have the credentials in plain.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        if initial_connection and not info.get("tls_required"):
            raise nats.errors.Error("nats: the server does not ask for TLS")
        await super()._process_info(info, initial_connection)


async def _ignore(_error: Exception) -> None:
    """What goes wrong is seen where it matters: by `closed`, or by the call that fails."""


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
    """Say in words why a connection did not come about; None where it is no such error."""
    match error:
        case nats.errors.NoServersError():
            return "nothing answers there"
        case TimeoutError():
            return "it does not answer in time"
        case nats.errors.Error():
            return str(error).removeprefix("nats: ").strip("'\"")
        case ssl.SSLError():
            return f"the TLS handshake failed: {openssl.reason(error)}"
        case OSError() | ValueError():
            return str(getattr(error, "strerror", None) or error)
        case _:
            return None
