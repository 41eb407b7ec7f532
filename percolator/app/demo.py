"""The demo of `percolator serve --demo`: plays the recorded market through JetStream."""

import logging

from nats.aio.client import Client

from percolator.app import recording
from percolator.errors import NatsError
from percolator.jetstream.connect import hang_up
from percolator.jetstream.publisher import Publisher

logger = logging.getLogger(__name__)


async def play(client: Client, stream: str) -> None:
    """Play the recorded market in a loop until cancelled, then close the client.

    What NATS does not take within its duplicate window is left out.
    """
    publisher = Publisher(client, stream, lambda sentence: logger.warning("demo: %s", sentence))

    async def publish(subject: str, payload: bytes, message_id: str) -> None:
        try:
            await publisher.publish(subject, payload, message_id)
        except NatsError as error:
            logger.warning("demo: an event is left out: %s", error)

    try:
        await recording.play(publish, loop=True)
    finally:
        await hang_up(client)
