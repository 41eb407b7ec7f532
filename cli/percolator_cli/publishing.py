"""What publishing commands share: connecting to NATS, and encoding events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client
from pydantic_core import to_json

from percolator.app.nats_source import nats_address
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import NatsLoginError, NatsUnreachableError
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from percolator.model.kinds import Event

REMEDY = "start it (`percolator serve` includes one), or set its address with --nats-url"
"""What to do if NATS cannot be reached."""


async def reach(settings: Settings, *, name: str, reconnect: bool) -> Client:
    """Connect to NATS. Raises NatsUnreachableError, which says what to do."""
    try:
        return await connect(nats_address(settings), name=name, reconnect=reconnect)
    except NatsLoginError:
        raise
    except NatsUnreachableError as error:
        raise NatsUnreachableError(f"{error}; {REMEDY}") from None


@asynccontextmanager
async def publisher(settings: Settings, *, name: str, reconnect: bool) -> AsyncIterator[Publisher]:
    """Connect to NATS and yield a publisher. Raises NatsUnreachableError."""
    client = await reach(settings, name=name, reconnect=reconnect)
    try:
        yield Publisher(client, settings.stream)
    finally:
        await client.close()


async def publish_one(flags: Mapping[str, Any], subject: str, payload: bytes) -> int:
    """Publish one event and return its seq. Raises SettingsError, NatsError."""
    settings = load(flags).settings
    async with publisher(settings, name="percolator publish", reconnect=False) as to:
        return await to.publish(subject, payload)


def payload_of(event: Event) -> bytes:
    """Encode an event in native form."""
    return to_json(event, exclude_none=True)
