"""Which NATS to use: the configured one, else one on this machine, else an embedded one."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from percolator.config.settings import Settings
from percolator.errors import NatsUnreachableError
from percolator.jetstream.connect import NatsAddress
from percolator.jetstream.embedded import server as embedded

DEFAULT_NATS = "nats://127.0.0.1:4222"

Spawn = Callable[[Coroutine[object, object, object]], None]


class NatsSource:
    """Locates NATS, and owns the embedded server if it started one."""

    def __init__(self, settings: Settings, spawn: Spawn) -> None:
        """`spawn` runs the watch over the embedded server, which raises when the server exits."""
        self._settings = settings
        self._spawn = spawn
        self._embedded: embedded.EmbeddedNats | None = None

    @property
    def data_dir(self) -> str | None:
        """The data folder of the embedded server; None if NATS is external."""
        return str(self._embedded.data_dir) if self._embedded else None

    async def find(self) -> NatsAddress:
        """Return the address; start a server if there is none. Raises EmbeddedNatsError."""
        settings = self._settings
        if self._embedded is None and settings.nats_url is None:
            if await embedded.answers(DEFAULT_NATS):
                return self._address(DEFAULT_NATS)
            self._embedded = await embedded.start(settings.data_dir)
            self._spawn(self._watch(self._embedded))
        if self._embedded is not None:
            return NatsAddress(self._embedded.url)  # it needs no credentials
        assert settings.nats_url is not None
        return self._address(settings.nats_url)

    async def stop(self, seconds: float) -> None:
        """Stop the embedded server, if any; if that takes too long, its watchdog stops it."""
        if self._embedded is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._embedded.stop(), seconds)

    def _address(self, url: str) -> NatsAddress:
        settings, token = self._settings, self._settings.nats_token
        secret = token.get_secret_value() if token else None
        return NatsAddress(url, settings.nats_creds, secret, settings.nats_tls_ca)

    async def _watch(self, server: embedded.EmbeddedNats) -> None:
        code = await server.wait()
        raise NatsUnreachableError(f"the embedded nats-server exited with code {code}")
