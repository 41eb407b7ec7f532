"""What publishing commands share: a publisher as the settings have it, and events on their way."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client
from pydantic_core import to_json

from percolator.app.nats_source import DEFAULT_NATS
from percolator.config.settings import Settings
from percolator.config.sources import load
from percolator.errors import EventError, NatsUnreachableError
from percolator.jetstream.connect import NatsAddress, connect
from percolator.jetstream.publisher import Publisher
from percolator.model.events import Event

REMEDY = "start it (`percolator serve` brings one), or name it with --nats-url"
"""What to do where NATS cannot be reached."""


def nats_address(settings: Settings) -> NatsAddress:
    """Give the NATS that the settings name, else where an embedded one would be."""
    token = settings.nats_token
    return NatsAddress(
        settings.nats_url or DEFAULT_NATS,
        settings.nats_creds,
        token.get_secret_value() if token else None,
        settings.nats_tls_ca,
    )


async def reach(settings: Settings, *, name: str, reconnect: bool) -> Client:
    """Connect. Raises NatsUnreachableError that says what to do."""
    try:
        return await connect(nats_address(settings), name=name, reconnect=reconnect)
    except NatsUnreachableError as error:
        raise NatsUnreachableError(f"{error}; {REMEDY}") from None


@asynccontextmanager
async def publisher(settings: Settings, *, name: str, reconnect: bool) -> AsyncIterator[Publisher]:
    """Connect, and leave cleanly. Raises NatsUnreachableError."""
    client = await reach(settings, name=name, reconnect=reconnect)
    try:
        yield Publisher(client, settings.stream)
    finally:
        await client.close()


async def publish_one(flags: Mapping[str, Any], subject: str, payload: bytes) -> int:
    """Publish one event and give its seq. Raises SettingsError, NatsError."""
    settings = load(flags).settings
    async with publisher(settings, name="percolator publish", reconnect=False) as to:
        return await to.publish(subject, payload)


def payload_of(event: Event) -> bytes:
    """Encode an event in native form."""
    return to_json(event, exclude_none=True)


RULES = {
    "price": "a number of USD greater than 0",
    "markPrice": "a number of USD greater than 0",
    "indexPrice": "a number of USD greater than 0",
    "side": "long or short",
    "size": "a whole number of base units, of up to 128 bits",
    "rate": "a decimal number such as 0.0001",
    "timestamp": "Unix milliseconds, a whole number",
}
"""What a field of an event must be, for whoever has written one by hand."""


def plainly(error: EventError, fields: Mapping[str, Any]) -> str:
    """Say what is wrong with an event that a person wrote, with what was written."""
    name = str(error).partition(":")[0]
    if name not in RULES:
        return str(error)
    if name not in fields:
        return f"{name} is missing: it must be {RULES[name]}"
    value = fields[name]
    shown = f"{value:g}" if isinstance(value, float) else str(value)[:64]
    return f"{name} must be {RULES[name]}, not {shown}"
