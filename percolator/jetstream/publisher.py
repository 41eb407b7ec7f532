"""Publishing: writes events to the stream, one at a time or many with acks in flight."""

import asyncio

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import failures
from percolator.jetstream.client import refusal
from percolator.jetstream.refusals import RefusedError

MAX_IN_FLIGHT = 512
ATTEMPTS = 8
RETRY_SECONDS = 0.5
ACK_SECONDS = 2.0
UNACKNOWLEDGED = "NATS does not acknowledge the event"


class Publisher:
    """Writes events to the stream, each acknowledged by JetStream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._context: JetStreamContext = client.jetstream(timeout=ACK_SECONDS)
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def publish(self, subject: str, payload: bytes, message_id: str | None = None) -> int:
        """Publish one event and return its seq. Otherwise like `store`."""
        return (await self.store(subject, payload, message_id)).seq

    async def store(self, subject: str, payload: bytes, message_id: str | None = None) -> PubAck:
        """Publish one event and return its ack, which also shows whether it is a duplicate.

        With a message id, it retries for some seconds, since JetStream then drops duplicates;
        without one, it tries once. Raises NatsUnreachableError or NatsUnfitError.
        """
        headers = {"Nats-Msg-Id": message_id} if message_id is not None else None
        last: Exception | None = None
        for attempt in range(ATTEMPTS if message_id is not None else 1):
            if attempt:
                await asyncio.sleep(RETRY_SECONDS * attempt)
            try:
                return await self._try(subject, payload, headers)
            except RefusedError as error:  # the permissions stay as they are
                raise NatsUnreachableError(f"{UNACKNOWLEDGED}: {error}") from None
            except nats.errors.Error as error:
                last = error
        if isinstance(last, NoStreamResponseError):
            raise NatsUnfitError(
                f"no stream accepts {subject}: start a gateway once (it creates {self._stream}), "
                "or add the subject to the stream (percolator doctor shows how), "
                "or check that JetStream is enabled"
            )
        why = failures.words(last) if last else ""
        raise NatsUnreachableError(f"{UNACKNOWLEDGED}: {why}{refusal(self._client)}")

    async def _try(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> PubAck:
        """Publish once. Raises NatsUnfitError if a retry cannot help, else NATS's own error."""
        try:
            async with self._slots:
                return await self._context.publish(
                    subject, payload, stream=self._stream, headers=headers
                )
        except ServiceUnavailableError:
            raise
        except APIError as error:
            advice = failures.advice(error, f"check the stream {self._stream}")
            raise NatsUnfitError(
                f"JetStream refuses the event ({failures.words(error)}): {advice}"
            ) from None
        except nats.errors.MaxPayloadError:
            raise NatsUnfitError(
                f"the event has {len(payload):,} bytes, but NATS accepts at most "
                f"{self._client.max_payload:,}: make it smaller"
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError):  # the library checks no answer
            raise NatsUnfitError(
                "NATS answers an event with something else than an acknowledgement: "
                "check what listens at its address"
            ) from None
