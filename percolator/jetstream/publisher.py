"""Publishing: stores events in the stream, each acknowledged, and none of them twice.

Everything of ours that publishes events does it here. An event with a message id is tried again
until JetStream has acknowledged it, but only within the stream's duplicate window: as long as
JetStream knows the id, it stores the event once, however often it arrives.
"""

import asyncio
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck
from nats.js.errors import (
    APIError,
    NoStreamResponseError,
    NotFoundError,
    ServiceUnavailableError,
)

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import failures
from percolator.jetstream.in_flight import InFlight, Outgoing
from percolator.jetstream.refusals import RefusedError
from percolator.jetstream.stream import DUPLICATE_WINDOW, NOT_ENABLED
from percolator.jetstream.subjects import covers

ACK_SECONDS = 2.0
RETRY_SECONDS = 0.25
ASK_SECONDS = 0.5
"""Seconds the stream has to say what its duplicate window is."""
WINDOW_SHARE = 0.9
"""The part of the duplicate window in which an event is tried again.

The rest is for the last attempt, which may wait in a buffer on its way to JetStream.
"""
IN_PROCESS = 10158
"""JetStream is still storing the first attempt: its answer to a second one in a cluster."""
NOT_LEADER = 10009
TRANSIENT = (IN_PROCESS, NOT_LEADER)
UNACKNOWLEDGED = "NATS does not acknowledge the event"

OnTrouble = Callable[[str], None]
"""Called with a sentence when JetStream stops acknowledging events, and when it does again."""


class Publisher:
    """Writes events to the stream, each acknowledged by JetStream.

    Events are sent in the order of the calls, and so they are stored, unless NATS loses the first
    attempt of one and stores that of a later one.
    """

    def __init__(
        self, client: Client, stream: str, on_trouble: OnTrouble = lambda _sentence: None
    ) -> None:
        """To outlast a lost connection, the client must be one that reconnects."""
        self._client = client
        self._stream = stream
        self._on_trouble = on_trouble
        self._context: JetStreamContext = client.jetstream(timeout=ACK_SECONDS)
        self._in_flight = InFlight()
        self._acknowledged = False
        """True once JetStream has acknowledged an event: what it depends on is set up."""
        self._announced = False
        """True if `on_trouble` was told that JetStream does not acknowledge events."""
        self._window: float | None = None

    async def publish(self, subject: str, payload: bytes, message_id: str | None = None) -> int:
        """Publish one event and return its seq. Otherwise like `store`."""
        return (await self.store(subject, payload, message_id)).seq

    async def store(self, subject: str, payload: bytes, message_id: str | None = None) -> PubAck:
        """Publish one event and return its ack, which also shows whether it is a duplicate.

        With a message id, it tries again within the duplicate window; without one, it tries once,
        since a second attempt could store the event twice. Raises NatsUnreachableError or
        NatsUnfitError.
        """
        headers = {} if message_id is None else {"Nats-Msg-Id": message_id}
        event = Outgoing(subject, payload, headers)
        try:
            await self._in_flight.enter(event)
            return await self._store(event)
        finally:
            self._in_flight.leave(event)

    async def _store(self, event: Outgoing) -> PubAck:
        try:
            return await self._try(event)
        except nats.errors.Error as error:
            last = error
        if not event.headers:
            raise self._failure(event, last)
        self._in_flight.fail()
        if self._acknowledged or not isinstance(last, NoStreamResponseError):
            self._in_trouble(last)
        ack = await self._retry(event, last)
        self._in_flight.recover()
        self._in_trouble(None)
        return ack

    async def _retry(self, event: Outgoing, last: nats.errors.Error) -> PubAck:
        """Try again until the window has passed. Raises NatsUnreachableError, NatsUnfitError."""
        while not self._client.is_closed:
            if not self._in_flight.is_oldest(event):
                await event.wait_for_turn()
            if self._client.is_connected:
                unsure = self._window is None or isinstance(last, NoStreamResponseError)
                if unsure and self._in_flight.is_oldest(event):
                    await self._examine_stream(event, last)
                if event.age() > self._retry_seconds:
                    break
                try:
                    return await self._try(event)
                except nats.errors.Error as error:
                    last = error
            if event.age() > self._retry_seconds:
                break
            if self._in_flight.is_oldest(event):
                self._in_trouble(last)
                await asyncio.sleep(RETRY_SECONDS)
        raise self._failure(event, last)

    @property
    def _retry_seconds(self) -> float:
        return WINDOW_SHARE * (DUPLICATE_WINDOW if self._window is None else self._window)

    async def _examine_stream(self, event: Outgoing, last: nats.errors.Error) -> None:
        """Ask the stream for its duplicate window; a user who may not ask keeps the default.

        Raises NatsUnfitError if the stream does not take the event, unless it took one before: it
        may then be on its way back.
        """
        takes = True
        try:
            context = self._client.jetstream(timeout=ASK_SECONDS)
            config = (await context.stream_info(self._stream)).config
            self._window = config.duplicate_window or DUPLICATE_WINDOW
            takes = any(covers(each, event.subject) for each in config.subjects or ())
        except NotFoundError:
            takes = False
        except ServiceUnavailableError as error:
            takes = error.err_code not in (None, *NOT_ENABLED)
        except RefusedError:
            self._window = DUPLICATE_WINDOW
        except (nats.errors.Error, AttributeError, KeyError, TypeError, ValueError):
            pass  # asked again before the next attempt
        if not takes and not self._acknowledged and isinstance(last, NoStreamResponseError):
            raise self._failure(event, last)

    async def _try(self, event: Outgoing) -> PubAck:
        """Publish once.

        Raises NatsUnfitError or NatsUnreachableError if a retry cannot help, else NATS's own error.
        """
        if event.headers and not self._client.is_connected:
            # The library would keep the event and send it whenever it connects again.
            raise nats.errors.ConnectionClosedError
        try:
            ack = await self._context.publish(
                event.subject, event.payload, stream=self._stream, headers={**event.headers}
            )
        except RefusedError as error:  # the permissions stay as they are
            raise NatsUnreachableError(f"{UNACKNOWLEDGED}: {error}") from None
        except ServiceUnavailableError:
            raise
        except APIError as error:
            if error.err_code in TRANSIENT:
                raise
            advice = failures.advice(error, f"check the stream {self._stream}")
            raise NatsUnfitError(
                f"JetStream refuses the event ({failures.words(error)}): {advice}"
            ) from None
        except nats.errors.MaxPayloadError:
            raise NatsUnfitError(
                f"the event has {len(event.payload):,} bytes, but NATS accepts at most "
                f"{self._client.max_payload:,}: make it smaller"
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError):  # the library checks no answer
            raise NatsUnfitError(
                "NATS answers an event with something else than an acknowledgement: "
                "check what listens at its address"
            ) from None
        self._acknowledged = True
        return ack

    def _in_trouble(self, error: nats.errors.Error | None) -> None:
        """Report, once, that JetStream does not acknowledge events; with None, that it does."""
        if self._announced is (error is None):
            self._announced = error is not None
            self._on_trouble(
                "NATS acknowledges events again"
                if error is None
                else f"NATS does not acknowledge events ({failures.words(error)}): trying again "
                f"for up to {self._retry_seconds:.0f} s"
            )

    def _failure(
        self, event: Outgoing, last: nats.errors.Error
    ) -> NatsUnfitError | NatsUnreachableError:
        """Return the error for an event that is given up after this error of NATS."""
        if isinstance(last, NoStreamResponseError):
            return NatsUnfitError(
                f"no stream accepts {event.subject}: start a gateway once (it creates "
                f"{self._stream}), or add the subject to the stream (percolator doctor shows how), "
                "or check that JetStream is enabled"
            )
        why = failures.words(last)
        if not event.headers:
            return NatsUnreachableError(f"{UNACKNOWLEDGED}: {why}")
        return NatsUnreachableError(
            f"NATS has not acknowledged the event {event.headers['Nats-Msg-Id']} for "
            f"{event.age():.0f} s ({why}), and a later attempt could store it twice: "
            f"look for it in the stream {self._stream} before you publish it again"
        )
