"""Connections to NATS: the one way to open them, with errors that a user can act on."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import nats.errors
from nats.aio.client import Client

from percolator.errors import NatsUnreachableError
from percolator.jetstream import credentials, failures, tls
from percolator.jetstream.address import NatsAddress, Server
from percolator.jetstream.client import NatsClient
from percolator.jetstream.liveness import raise_if_cancelled

CONNECT_SECONDS = 2
"""Seconds a server has for each step of a connection; it has twice as long for all of them."""
CLOSE_SECONDS = 0.5
RECONNECT_SECONDS = 1
"""Seconds between two attempts to reconnect."""
PING_SECONDS = 10

Handler = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


async def connect(
    address: NatsAddress, *, name: str, reconnect: bool, closed: Handler | None = None
) -> NatsClient:
    """Connect to one of the servers of an address.

    With `reconnect`, the client reconnects forever; otherwise `closed` is called when the
    connection has ended. Raises NatsUnreachableError, and NatsUnfitError if a file for the login or
    for TLS is not valid.
    """
    client = await connect_to_any(address, configured(address), name=name, closed=closed)
    if reconnect:
        client.add_servers(configured(address))
        client.options |= {
            "allow_reconnect": True,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_SECONDS,
        }
    return client


def check_files(address: NatsAddress) -> None:
    """Read the files of an address. Raises NatsUnfitError if one of them is not valid."""
    _options(address)


def configured(address: NatsAddress) -> list[Server]:
    """Return the servers of an address. Raises NatsUnreachableError if it is not valid."""
    try:
        return address.servers
    except ValueError as error:
        text = f"NATS at {address.shown} cannot be reached: {error}"
        raise NatsUnreachableError(text) from None


async def connect_to_any(
    address: NatsAddress, servers: Iterable[Server], *, name: str, closed: Handler | None
) -> NatsClient:
    """Connect to whichever of these servers answers first; raises as `connect` does.

    All are dialed at once: a frozen server accepts the connection and never speaks, and finding
    that out one by one takes too long.
    """
    options = {"name": name, **_options(address)}
    attempts = {asyncio.create_task(_try(address, server, options)): server for server in servers}
    try:
        line = await _first(attempts)
        await _abandon(attempts, keep=line)
        await line.on_end(closed)
    except BaseException:
        await _abandon(attempts)
        raise
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("connected to NATS at %s as %r", server_address(line.client), name)
    return line.client


async def hang_up(client: Client) -> None:
    """Close a connection, even if the server no longer answers."""
    try:
        # After a failed TLS handshake, the library would wait forever for the socket to close.
        await asyncio.wait_for(client.close(), CLOSE_SECONDS)
    except asyncio.CancelledError:
        raise_if_cancelled()  # the library raises it too, after it has lost a connection
    except Exception:  # noqa: BLE001, S110 - the connection is over in any case
        pass
    finally:
        # An interrupted close, by our timeout or by a cancellation, leaves the socket open.
        if client._transport is not None:  # noqa: SLF001
            with contextlib.suppress(Exception):
                client._transport.close()  # type: ignore[no-untyped-call] # noqa: SLF001


def server_address(client: Client) -> str:
    """Return the host and port of the server that a client is connected to."""
    url = client.connected_url
    return url.netloc.rpartition("@")[2] if url else "its address"


class _Line:
    """A connection that may still be abandoned: its end is not reported before `on_end`."""

    client: NatsClient

    def __init__(self) -> None:
        self._ended = False
        self._handler: Handler | None = None

    async def closed(self) -> None:
        """The connection has ended."""
        self._ended = True
        if self._handler is not None:
            await self._handler()

    async def on_end(self, handler: Handler | None) -> None:
        """Call `handler` when the connection ends; now, if it has already ended."""
        self._handler = handler
        if self._ended and handler is not None:
            await handler()


class _FailedError(Exception):
    """A server cannot be used."""

    def __init__(self, failure: failures.Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


async def _first(attempts: dict[asyncio.Task[_Line], Server]) -> _Line:
    """Return the first that succeeds; if none does, raise one error with the reason of each."""
    for attempt in asyncio.as_completed(attempts):
        with contextlib.suppress(_FailedError):
            return await attempt
    failed: list[tuple[str, failures.Failure]] = []
    for attempt, server in attempts.items():
        error = attempt.exception()
        assert isinstance(error, _FailedError)
        failed.append((server.url, error.failure))
    raise failures.combined(failed)


async def _abandon(attempts: Iterable[asyncio.Task[_Line]], *, keep: _Line | None = None) -> None:
    attempts = list(attempts)
    for attempt in attempts:
        attempt.cancel()
    for line in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(line, _Line) and line is not keep:
            await hang_up(line.client)


async def _try(address: NatsAddress, server: Server, options: dict[str, Any]) -> _Line:
    """Connect to a server, under the first of its names that its certificate has.

    Raises _FailedError.
    """
    mismatch: BaseException | None = None
    for name in server.tls_names:
        line = _Line()
        line.client = NatsClient(address, [Server(server.url, server.login, (name,))])
        try:
            await _open(line, server, options)
        except BaseException as error:
            await hang_up(line.client)
            if failures.is_other_name(error):
                mismatch = mismatch or error
            elif failure := failures.of(error, address):
                raise _FailedError(failure) from None
            else:
                raise
        else:
            line.client.known[server.place] = server
            return line
    failure = failures.of(mismatch, address) if mismatch else None
    assert failure is not None, "a server has at least one name"
    raise _FailedError(failure)


async def _open(line: _Line, server: Server, options: dict[str, Any]) -> None:
    causes: deque[Exception] = deque(maxlen=1)

    async def keep(error: Exception) -> None:
        """Keep why the library has found no server; later, the client itself logs errors."""
        causes.append(error)

    client = line.client
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            # Reconnecting is enabled once connected: otherwise the first attempt would never end.
            await client.connect(
                servers=[server.url],
                inbox_prefix=client.inbox_prefix,
                error_cb=keep,
                closed_cb=line.closed,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                **options,
            )
    except nats.errors.NoServersError:
        raise causes[-1] from None


def _options(address: NatsAddress) -> dict[str, Any]:
    """Return the options that are the same for all servers. Raises NatsUnfitError."""
    options: dict[str, Any] = {}
    if address.requires_tls:
        options |= {"tls": tls.context(address), "tls_handshake_first": address.tls_first}
    if address.creds is not None:
        creds = credentials.read(address.creds)
        options |= {"user_jwt_cb": creds.jwt, "signature_cb": creds.sign}
    return options
