"""Heads: the newest event of each subject up to a seq, out of the stream itself.

With them and the events after that seq, a gateway that starts now has the state of one that has
read the stream from its beginning.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from percolator.errors import NatsUnreachableError

SUBJECTS_A_REQUEST = 512
"""The server answers for 1,024 subjects at the most."""
END_OF_BATCH = "204"
NOT_FOUND = "404"
ANSWER_SECONDS = 5.0


class Head(NamedTuple):
    """The newest event of a subject."""

    seq: int
    subject: str
    payload: bytes


async def heads(client: Client, stream: str, pattern: str, up_to: int) -> list[Head]:
    """Give the newest event, at or before seq `up_to`, of each subject that fits the pattern.

    Raises NatsUnreachableError where the stream does not answer in time.
    """
    info = await client.jetstream(timeout=ANSWER_SECONDS).stream_info(
        stream, subjects_filter=pattern
    )
    subjects = sorted(info.state.subjects or {})
    found: list[Head] = []
    for part in _parts(subjects):
        found += await _ask(client, stream, {"multi_last": part, "up_to_seq": up_to})
    return found


def _parts(subjects: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(subjects), SUBJECTS_A_REQUEST):
        yield list(subjects[start : start + SUBJECTS_A_REQUEST])


async def _ask(client: Client, stream: str, request: dict[str, object]) -> list[Head]:
    """Send one direct get, and gather its answers until the server says that it was the last."""
    answers: asyncio.Queue[Msg] = asyncio.Queue()

    async def take(message: Msg) -> None:
        answers.put_nowait(message)

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=take)
    try:
        subject = f"$JS.API.DIRECT.GET.{stream}"
        await client.publish(subject, json.dumps(request).encode(), reply=inbox)
        found = []
        while True:
            message = await asyncio.wait_for(answers.get(), ANSWER_SECONDS)
            headers = message.headers or {}
            status = headers.get("Status")
            if status is None:
                found.append(
                    Head(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data)
                )
            elif status in (END_OF_BATCH, NOT_FOUND):
                return found
            else:
                raise NatsUnreachableError(
                    f"the stream {stream} does not give its last values: "
                    f"{headers.get('Description', status)}"
                )
    except (TimeoutError, NatsTimeoutError):
        raise NatsUnreachableError(f"the stream {stream} does not answer in time") from None
    finally:
        await subscription.unsubscribe()
