"""Publishing: events in. One at a time with its seq, or many with acks in flight."""

import asyncio

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from percolator.errors import NatsUnfitError, NatsUnreachableError

MAX_IN_FLIGHT = 512
ATTEMPTS = 8
RETRY_SECONDS = 0.5
ACK_SECONDS = 2.0


class Publisher:
    """Writes events to the stream, each acknowledged by JetStream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._context: JetStreamContext = client.jetstream(timeout=ACK_SECONDS)
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def publish(self, subject: str, payload: bytes, message_id: str | None = None) -> int:
        """Publish one event and give the seq that it got. As `store` otherwise."""
        return (await self.store(subject, payload, message_id)).seq

    async def store(self, subject: str, payload: bytes, message_id: str | None = None) -> PubAck:
        """Publish one event and give its acknowledgement, which knows whether it was there already.

        With a message id it is tried again for some seconds, since JetStream then drops a double;
        without one, once. Raises NatsUnreachableError or NatsUnfitError.
        """
        headers = {"Nats-Msg-Id": message_id} if message_id is not None else None
        last: Exception | None = None
        for attempt in range(ATTEMPTS if message_id is not None else 1):
            if attempt:
                await asyncio.sleep(RETRY_SECONDS * attempt)
            try:
                async with self._room:
                    ack = await self._context.publish(
                        subject, payload, stream=self._stream, headers=headers
                    )
            except ServiceUnavailableError as error:
                last = error
            except APIError as error:
                raise NatsUnfitError(
                    f"JetStream refuses the event: {error.description or error}"
                ) from None
            except nats.errors.MaxPayloadError:
                raise NatsUnfitError(
                    f"the event is larger than NATS takes: {len(payload)} bytes"
                ) from None
            except nats.errors.Error as error:
                last = error
            else:
                return ack
        if isinstance(last, NoStreamResponseError):
            raise NatsUnfitError(
                f"no stream takes {subject}: start a gateway once (it creates {self._stream}), "
                "or add the subject to the stream (percolator doctor shows how), "
                "or check that JetStream is on"
            )
        raise NatsUnreachableError(
            "NATS does not acknowledge the event: see that it is up, and that its disk is not full"
        )
