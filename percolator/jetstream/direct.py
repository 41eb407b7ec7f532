"""Single events from the stream, without a consumer: nothing to create, nothing left behind.

There are two ways. Any replica answers a *direct get*, with many events at once; a replica may
lag, so the answer is correct but may lack the newest events. The stream's *leader* returns one
event at a time; it is asked when the absence of an event matters.
"""

import asyncio
import base64
import json
from calendar import timegm
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Self

import nats.errors
from nats.aio.msg import Msg

from percolator.errors import NatsUnreachableError
from percolator.jetstream.client import NatsClient, parse_headers
from percolator.jetstream.failures import words
from percolator.jetstream.liveness import hedged, raise_if_cancelled

END_OF_BATCH = "204"
NOT_FOUND = "404"
NO_MESSAGE_FOUND = 10037
ANSWER_SECONDS = 4.0
"""Seconds the stream has to answer."""
MAX_BATCH_BYTES = 256 * 1024
"""Bytes after which the server ends a batch, so that large messages cannot fill our memory."""


MESSAGE_ID = "Nats-Msg-Id"
"""The header with which a publisher names an event, so that JetStream drops it the second time."""
MARKER = "Nats-Marker-Reason"
"""The header of a delete marker."""


class Stored(NamedTuple):
    """An event of the stream. `time` is when it was stored, in nanoseconds since 1970.

    `id` is the publisher's message id, empty if it has none.
    """

    seq: int
    subject: str
    payload: bytes
    time: int
    id: str = ""
    marker: bool = False
    """True for a delete marker: nats-server stores one if a subject has lost its last message."""

    @classmethod
    def of(
        cls, seq: int, subject: str, payload: bytes, time: int, headers: Mapping[str, str]
    ) -> Self:
        """Read what the headers say.

        An event is never empty, so a publisher that sets the header of a delete marker hides
        nothing but its own fault.
        """
        marker = not payload and MARKER in headers
        return cls(seq, subject, payload, time, headers.get(MESSAGE_ID, ""), marker)

    @property
    def ms(self) -> int:
        """When it was stored, in Unix milliseconds."""
        return self.time // 1_000_000


class Batch(NamedTuple):
    """The answer to a direct get: events in order; `more` is how many further ones match."""

    events: list[Stored]
    more: int


async def direct_get(client: NatsClient, stream: str, request: dict[str, object]) -> Batch:
    """Send a batched direct get, and collect its answers until the server ends the batch.

    A batch has at most MAX_BATCH_BYTES and one event, and at least one event if any matches.
    Raises NatsUnreachableError if the stream does not answer in time, or refuses.
    """
    bounded = {**request, "max_bytes": MAX_BATCH_BYTES}
    return await hedged(lambda: _gather(client, stream, bounded))


async def direct_get_all(
    client: NatsClient, stream: str, request: dict[str, object]
) -> AsyncIterator[Stored]:
    """Yield all events that match, batch by batch. Raises as `direct_get` does."""
    more = 1
    while more:
        events, more = await direct_get(client, stream, request)
        for event in events:
            yield event
            request = {**request, "seq": event.seq + 1}


async def _gather(client: NatsClient, stream: str, request: dict[str, object]) -> Batch:
    found: list[Stored] = []
    end: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        headers = message.headers or {}
        if "Nats-Sequence" in headers:  # an event, whatever other headers it has
            found.append(_stored(headers, message.data))
        elif not end.done():
            end.set_result(headers)

    try:
        inbox, subject = client.new_inbox(), f"{client.api}.DIRECT.GET.{stream}"
        client.watch(end, inbox, subject)
        subscription = await client.subscribe(inbox, cb=receive)
        try:
            await client.publish(subject, json.dumps(request).encode(), reply=inbox)
            raise_if_cancelled()
            headers = await asyncio.wait_for(end, ANSWER_SECONDS)
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()
    except TimeoutError:
        raise _unreadable(stream, "no answer in time") from None
    except nats.errors.Error as error:
        raise _unreadable(stream, words(error)) from None
    if headers.get("Status") not in (END_OF_BATCH, NOT_FOUND):
        raise _unreadable(stream, headers.get("Description", "no reason given"))
    return Batch(found, more=int(headers.get("Nats-Num-Pending", 0)))


async def ask_leader(client: NatsClient, stream: str, request: dict[str, object]) -> Stored | None:
    """Ask the stream's leader for one event; None if there is none.

    Raises NatsUnreachableError if the leader does not answer in time, or refuses.
    """
    answer = await _ask(client, stream, "STREAM.MSG.GET", request)
    if answer is None:
        return None
    event = answer["message"]
    payload = base64.b64decode(event.get("data", ""))
    headers = parse_headers(base64.b64decode(event.get("hdrs", "")))
    time = _nanoseconds(event["time"])
    return Stored.of(event["seq"], event["subject"], payload, time, headers)


async def deleted_seqs(client: NatsClient, stream: str) -> tuple[int, list[int]]:
    """Return the oldest seq of the stream, and the missing ones after it, in order.

    Raises NatsUnreachableError.
    """
    answer = await _ask(client, stream, "STREAM.INFO", {"deleted_details": True})
    assert answer is not None
    state = answer["state"]
    return state["first_seq"], state.get("deleted") or []


async def _ask(
    client: NatsClient, stream: str, operation: str, request: dict[str, object]
) -> dict[str, Any] | None:
    """Send a request to the stream's leader; return its answer, None if it has no such message."""
    subject, body = f"{client.api}.{operation}.{stream}", json.dumps(request).encode()
    try:
        message = await hedged(lambda: client.request(subject, body, ANSWER_SECONDS))
    except nats.errors.Error as error:
        raise _unreadable(stream, words(error)) from None
    answer: dict[str, Any] = json.loads(message.data)
    if (refusal := answer.get("error")) is not None:
        if refusal.get("err_code") == NO_MESSAGE_FOUND:
            return None
        raise _unreadable(stream, refusal.get("description", "no reason given"))
    return answer


def _stored(headers: dict[str, str], payload: bytes) -> Stored:
    seq, time = int(headers["Nats-Sequence"]), _nanoseconds(headers["Nats-Time-Stamp"])
    return Stored.of(seq, headers["Nats-Subject"], payload, time, headers)


def _nanoseconds(text: str) -> int:
    """Convert a NATS time, `2006-01-02T15:04:05.999999999Z`, without losing nanoseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = timegm(datetime.fromisoformat(whole).timetuple())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


def _unreadable(stream: str, reason: str) -> NatsUnreachableError:
    return NatsUnreachableError(f"the stream {stream} cannot be read: {reason}")
