"""Connections to NATS: one way to open one, with errors that a person can act on."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from percolator.errors import NatsUnreachableError

CONNECT_SECONDS = 2
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
    def shown(self) -> str:
        """The address for people: without user and password."""
        return ", ".join(
            part.partition("://")[0] + "://" + part.partition("://")[2].rpartition("@")[2]
            for part in self.url.split(",")
        )


async def connect(
    address: NatsAddress, *, name: str, reconnect: bool, closed: Handler | None = None
) -> Client:
    """Connect. With `reconnect`, the client comes back without end; else `closed` tells of its end.

    Raises NatsUnreachableError.
    """

    async def ignore(_error: Exception) -> None:
        """What goes wrong is seen where it matters: by `closed`, or by the call that fails."""

    options: dict[str, Any] = {}
    if address.tls_ca is not None:
        options["tls"] = ssl.create_default_context(cafile=str(address.tls_ca))
    if address.creds is not None:
        options["user_credentials"] = str(address.creds)
    if address.token is not None:
        options["token"] = address.token
    try:
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            return await nats.connect(
                servers=[part.strip() for part in address.url.split(",")],
                name=name,
                error_cb=ignore,
                closed_cb=closed,
                allow_reconnect=reconnect,
                max_reconnect_attempts=-1 if reconnect else 1,
                reconnect_time_wait=1,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
                **options,
            )
    except nats.errors.NoServersError:
        reason = "nothing answers there"
    except (TimeoutError, nats.errors.TimeoutError):
        reason = "it does not answer in time"
    except (nats.errors.AuthorizationError, nats.errors.Error) as error:
        reason = str(error).removeprefix("nats: ").strip("'\"")
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    raise NatsUnreachableError(f"NATS at {address.shown} cannot be reached: {reason}")
