"""What publishing commands share: connecting to NATS, and encoding events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.js.api import PubAck
from pydantic_core import to_json

from percolator.app.nats_source import checked_address
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import NatsRefusedError, NatsUnreachableError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import connect, hang_up
from percolator.jetstream.publisher import OnTrouble, Publisher
from percolator.model.kinds import Event
from percolator_cli.process import print_error

REMEDY = "start it (`percolator serve` includes one), or set its address with --nats-url"
"""What to do if NATS cannot be reached."""


async def reach(settings: Settings, *, name: str) -> NatsClient:
    """Connect to NATS, now and whenever the connection is lost.

    Raises SettingsError, and NatsUnreachableError, which says what to do.
    """
    try:
        return await connect(checked_address(settings), name=name, reconnect=True)
    except NatsRefusedError:
        raise
    except NatsUnreachableError as error:
        raise NatsUnreachableError(f"{error}; {REMEDY}") from None


@asynccontextmanager
async def publisher(
    settings: Settings, *, name: str, on_trouble: OnTrouble
) -> AsyncIterator[Publisher]:
    """Connect to NATS and yield a publisher. Raises NatsUnreachableError."""
    client = await reach(settings, name=name)
    try:
        yield Publisher(client, settings.stream, on_trouble)
    finally:
        await hang_up(client)


async def publish_one(
    flags: Mapping[str, Any], subject: str, payload: bytes, message_id: str
) -> PubAck:
    """Publish one event and return its ack. Raises SettingsError, NatsError."""
    settings = load(flags).settings
    async with publisher(settings, name="percolator publish", on_trouble=print_error) as to:
        return await to.store(subject, payload, message_id)


def payload_of(event: Event) -> bytes:
    """Encode an event in native form."""
    return to_json(event, exclude_none=True)
