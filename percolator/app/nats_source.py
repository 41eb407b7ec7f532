"""Which NATS: the one that is named, else the one that answers here, else one of our own."""

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
    """Finds NATS, and keeps the server that it has started."""

    def __init__(self, settings: Settings, spawn: Spawn) -> None:
        """`spawn` runs what watches our own server; it raises where that ends."""
        self._settings = settings
        self._spawn = spawn
        self._own: embedded.EmbeddedNats | None = None

    @property
    def data_dir(self) -> str | None:
        """Where our own server keeps its data; None where NATS is somebody else's."""
        return str(self._own.data_dir) if self._own else None

    async def find(self) -> NatsAddress:
        """Give the address, and start a server where there is none. Raises EmbeddedNatsError."""
        settings = self._settings
        if self._own is None and settings.nats_url is None:
            if await embedded.answers(DEFAULT_NATS):
                return self._address(DEFAULT_NATS)
            self._own = await embedded.start(settings.data_dir)
            self._spawn(self._watch(self._own))
        if self._own is not None:
            return NatsAddress(self._own.url)  # it asks for nothing
        assert settings.nats_url is not None
        return self._address(settings.nats_url)

    async def stop(self, seconds: float) -> None:
        """End our own server, if there is one; where that takes longer, its watchdog does it."""
        if self._own is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._own.stop(), seconds)

    def _address(self, url: str) -> NatsAddress:
        settings, token = self._settings, self._settings.nats_token
        secret = token.get_secret_value() if token else None
        return NatsAddress(url, settings.nats_creds, secret, settings.nats_tls_ca)

    async def _watch(self, server: embedded.EmbeddedNats) -> None:
        code = await server.wait()
        raise NatsUnreachableError(f"the embedded nats-server has ended, with exit code {code}")
