"""Connections to NATS as percolator has them, with the options of a test's own."""

from typing import Any

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.client import NatsClient


async def connected(url: str, **options: Any) -> NatsClient:  # noqa: ANN401 - the library's
    """Connect to a server, or to one of several addresses with commas between them."""
    address = NatsAddress(url)
    client = NatsClient(address, address.servers)
    await client.connect(url.split(","), **options)
    return client
