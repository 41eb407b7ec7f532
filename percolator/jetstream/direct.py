"""Direct gets: reading single events out of the stream, without a consumer.

Any replica answers, in batches: so nothing is set up and nothing is left behind.
"""

import asyncio
import json
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsClientError

from percolator.errors import NatsUnreachableError

END_OF_BATCH = "204"
NOT_FOUND = "404"
ANSWER_SECONDS = 5.0


class Stored(NamedTuple):
    """One event as the stream holds it."""

    seq: int
    subject: str
    payload: bytes


async def direct_get(client: Client, stream: str, request: dict[str, object]) -> list[Stored]:
    """Send one batched direct get, and gather its answers until the server says that it is done.

    Raises NatsUnreachableError where the stream does not answer in time, or refuses.
    """
    answers: asyncio.Queue[Msg] = asyncio.Queue()

    async def take(message: Msg) -> None:
        answers.put_nowait(message)

    found: list[Stored] = []
    try:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=take)
        try:
            subject = f"$JS.API.DIRECT.GET.{stream}"
            await client.publish(subject, json.dumps(request).encode(), reply=inbox)
            while True:
                message = await asyncio.wait_for(answers.get(), ANSWER_SECONDS)
                headers = message.headers or {}
                status = headers.get("Status")
                if status in (END_OF_BATCH, NOT_FOUND):
                    return found
                if status is not None:
                    raise NatsUnreachableError(
                        f"the stream {stream} cannot be read back: "
                        f"{headers.get('Description', status)}"
                    )
                seq, subject = int(headers["Nats-Sequence"]), headers["Nats-Subject"]
                found.append(Stored(seq, subject, message.data))
        finally:
            await subscription.unsubscribe()
    except (TimeoutError, NatsClientError) as error:
        raise NatsUnreachableError(
            f"the stream {stream} cannot be read back: {str(error) or 'no answer in time'}"
        ) from None
