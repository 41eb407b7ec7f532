"""The stream of candles: its definition, its newest candle of each market, and how one is written.

Candles are bytes here. Each is written only if its subject has not moved on: of two writers one is
first, and the other is refused.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import (
    DiscardPolicy,
    Header,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsUnreachableError
from percolator.jetstream import stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, ask_leader, direct_get, direct_get_all
from percolator.jetstream.stream import DAY_SECONDS, StreamState, state_of
from percolator.jetstream.subjects import covers

SUBJECTS = "percolator.candle.>"
ANSWER_SECONDS = 4.0
"""Seconds NATS has to answer a request or to acknowledge a candle."""
SUBJECTS_PER_REQUEST = 512
"""Subjects per request; the server allows at most 1,024."""
LOOKS = 4
LAG_SECONDS = 0.1
MAX_CANDLE_BYTES = 4_096
WRONG_LAST_SEQUENCE = (10071, 10164)


def definition(name: str) -> StreamConfig:
    """Return the stream as we create it; `nats/candles.json` is the same for other tools."""
    return StreamConfig(
        name=name,
        description="percolator: the candles of all markets",
        subjects=[SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=400 * DAY_SECONDS,
        max_bytes=4 * 1024**3,
        max_msg_size=MAX_CANDLE_BYTES,
        duplicate_window=120,
        num_replicas=1,
        allow_direct=True,
    )


async def ensure(client: NatsClient, name: str) -> None:
    """Create the stream if it is missing, check it if it exists. Raises as `stream.ensure` does."""
    ours = definition(name)
    flag = "--candles-stream"
    found = (await stream.ensured(client, name, ours, flag, timeout=ANSWER_SECONDS)).config
    subjects = sorted(found.subjects or ())
    wanted = subjects if any(covers(each, SUBJECTS) for each in subjects) else [SUBJECTS]
    differing = stream.differing({"subjects": (subjects, wanted)}, found, ours)
    stream.raise_if_different(name, differing, flag)


async def last_candles(client: NatsClient, name: str) -> dict[str, Stored]:
    """Return the newest message of each subject. A replica answers; if it lags, it is asked again.

    Raises NatsUnreachableError.
    """
    found: dict[str, Stored] = {}
    for attempt in range(LOOKS):
        await asyncio.sleep(attempt * LAG_SECONDS)
        try:
            context = client.jetstream(timeout=ANSWER_SECONDS)
            info = await context.stream_info(name, subjects_filter=SUBJECTS)
        except (nats.errors.Error, JetStreamError) as error:
            raise NatsUnreachableError(f"the stream {name} cannot be read: {error}") from None
        found = await _last_of(client, name, info.state.subjects or {})
        if max((each.seq for each in found.values()), default=0) >= info.state.last_seq:
            break  # otherwise a replica lags, or the last message was deleted
    return found


async def _last_of(client: NatsClient, name: str, subjects: Iterable[str]) -> dict[str, Stored]:
    # What is not a market's name is nothing that was written here, and `*` would ask for all.
    wanted = sorted(each for each in subjects if not {"*", ">"} & set(each))
    found: dict[str, Stored] = {}
    for start in range(0, len(wanted), SUBJECTS_PER_REQUEST):
        part = wanted[start : start + SUBJECTS_PER_REQUEST]
        async for each in direct_get_all(client, name, {"multi_last": part}):
            found[each.subject] = each
    return found


async def last_candle(client: NatsClient, name: str, subject: str) -> Stored | None:
    """Return the newest message of a subject, from the stream's leader. Raises as above."""
    return await ask_leader(client, name, {"last_by_subj": subject})


async def write(
    context: JetStreamContext,
    name: str,
    subject: str,
    payload: bytes,
    *,
    message_id: str,
    after: int,
) -> int | None:
    """Write a candle after the last message of its subject, whose seq is `after`; 0 if none.

    Returns its seq. Returns None if the subject has moved on, or JetStream has the candle already.
    Raises NATS's own errors.
    """
    headers = {
        Header.MSG_ID.value: message_id,
        Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(after),
    }
    try:
        ack = await context.publish(subject, payload, stream=name, headers=headers)
    except APIError as error:
        if error.err_code in WRONG_LAST_SEQUENCE:
            return None
        raise
    return None if ack.duplicate else ack.seq


class StreamTime(NamedTuple):
    """What a stream holds, and the time of the server that said so, in Unix milliseconds."""

    state: StreamState
    now: int


async def time_of(client: NatsClient, name: str) -> StreamTime:
    """Ask a stream for its state and its server's time. Raises NATS's own errors.

    The time is read after the state: an event that is not in the state may still be older.
    """
    subject = f"{client.api}.STREAM.INFO.{name}"
    answer = json.loads((await client.request(subject, b"", ANSWER_SECONDS)).data)
    if "error" in answer:
        raise APIError.from_error(answer["error"])
    whole, _, fraction = answer["ts"].removesuffix("Z").partition(".")
    now = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() * 1000
    milliseconds = int(fraction.ljust(3, "0")[:3]) if fraction else 0
    return StreamTime(state_of(StreamInfo.from_response(answer)), int(now) + milliseconds)


async def seq_before(client: NatsClient, name: str, state: StreamState, time_ms: int) -> int:
    """Return the seq after which to read a stream, to read all that was stored from a time on.

    Raises NatsUnreachableError.
    """
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    request: dict[str, object] = {"start_time": at.isoformat(), "next_by_subj": ">", "batch": 1}
    found, _ = await direct_get(client, name, request)
    if found:
        return found[0].seq - 1
    # A replica may lag: the absence of an event is only believed of the newest one.
    last = await ask_leader(client, name, {"seq": state.last_seq}) if state.last_seq else None
    if last is not None and last.time >= time_ms * 1_000_000:
        raise NatsUnreachableError(f"the stream {name} cannot be read: a replica lags")
    return state.last_seq
