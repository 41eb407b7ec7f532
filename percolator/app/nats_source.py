"""Which NATS to use: the configured one, else one on this machine, else an embedded one."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from pydantic import SecretStr

from percolator.config.settings import Settings
from percolator.errors import NatsUnfitError, NatsUnreachableError, SettingsError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import check_files
from percolator.jetstream.embedded import server as embedded
from percolator.jetstream.embedded.datafolder import token_for

DEFAULT_NATS = "nats://127.0.0.1:4222"

Spawn = Callable[[Coroutine[object, object, object]], None]


def nats_address(settings: Settings) -> NatsAddress:
    """Return the address of NATS, by default that of an embedded server, and the login for it."""
    url = settings.nats_url or DEFAULT_NATS
    token, user = _plain(settings.nats_token), _plain(settings.nats_user)
    if token is None and user is None and settings.nats_creds is None:
        token = token_for(settings.data_dir, url)
    return NatsAddress(
        url,
        creds=settings.nats_creds,
        token=token,
        user=user,
        password=_plain(settings.nats_password),
        tls_ca=settings.nats_tls_ca,
        tls_cert=settings.nats_tls_cert,
        tls_key=settings.nats_tls_key,
        tls_first=settings.nats_tls_first,
        prefix=settings.nats_prefix,
        inbox_prefix=settings.nats_inbox_prefix,
    )


def checked_address(settings: Settings) -> NatsAddress:
    """Return the address of NATS once its files are checked. Raises SettingsError."""
    address = nats_address(settings)
    try:
        check_files(address)
    except NatsUnfitError as error:
        raise SettingsError(str(error)) from None
    return address


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


class NatsSource:
    """Locates NATS, and owns the embedded server if it started one."""

    def __init__(self, settings: Settings, spawn: Spawn) -> None:
        """`spawn` runs the watch over the embedded server, which raises when the server exits.

        Raises SettingsError if a file for NATS cannot be used.
        """
        checked_address(settings)
        self._settings = settings
        self._spawn = spawn
        self._embedded: embedded.EmbeddedNats | None = None
        self._finding = asyncio.Lock()

    @property
    def data_dir(self) -> str | None:
        """The data folder of the embedded server; None if NATS is external."""
        return str(self._embedded.data_dir) if self._embedded else None

    async def find(self) -> NatsAddress:
        """Return the address; start a server if there is none. Raises EmbeddedNatsError."""
        async with self._finding:  # several connections may be opened at once
            return await self._find()

    async def _find(self) -> NatsAddress:
        settings = self._settings
        if self._embedded is None and settings.nats_url is None:
            if await embedded.answers(DEFAULT_NATS):
                return nats_address(settings)
            self._embedded = await embedded.start(
                settings.data_dir, token=_plain(settings.nats_token)
            )
            self._spawn(self._watch(self._embedded))
        if self._embedded is not None:
            return NatsAddress(self._embedded.url, token=self._embedded.token)
        return nats_address(settings)

    async def stop(self, seconds: float) -> None:
        """Stop the embedded server, if any; if that takes too long, its watchdog stops it."""
        if self._embedded is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._embedded.stop(), seconds)

    async def _watch(self, server: embedded.EmbeddedNats) -> None:
        code = await server.wait()
        raise NatsUnreachableError(f"the embedded nats-server exited with code {code}")
