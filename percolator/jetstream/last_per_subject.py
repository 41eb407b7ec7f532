"""The newest valid event of each subject up to a seq, from the stream itself.

Together with the events after that seq, they give a gateway that starts now the same state as one
that has read the stream from its beginning.
"""

from nats.aio.client import Client

from percolator.errors import EventError
from percolator.jetstream.direct import Stored, direct_get
from percolator.model.channel import Channel
from percolator.model.events import decode

SUBJECTS_PER_REQUEST = 512
"""Subjects per request; the server allows at most 1,024."""
STEPS_BACK = 100
"""Invalid events of a subject that are skipped, one by one, to find a valid one."""


async def last_per_subject(client: Client, stream: str, pattern: str, up_to: int) -> list[Stored]:
    """Return the newest event, at or before seq `up_to`, of each subject that matches the pattern.

    An invalid event does not hide the valid one before it. Raises NatsUnreachableError if the
    stream does not answer in time.
    """
    info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    subjects = sorted(info.state.subjects or {})
    found: list[Stored] = []
    for start in range(0, len(subjects), SUBJECTS_PER_REQUEST):
        part = subjects[start : start + SUBJECTS_PER_REQUEST]
        last = await direct_get(client, stream, {"multi_last": part, "up_to_seq": up_to})
        valid = [await _valid(client, stream, event) for event in last]
        found += [event for event in valid if event is not None]
    return found


async def _valid(client: Client, stream: str, last: Stored) -> Stored | None:
    """Return the newest valid event of a subject, if one of the last STEPS_BACK is valid."""
    try:
        channel = Channel.of_subject(last.subject)
    except EventError:
        return None
    found: Stored | None = last
    for _ in range(STEPS_BACK):
        if channel is None or found is None:
            return None
        try:
            decode(channel, found.payload)
        except EventError:
            found = await newest(client, stream, last.subject, found.seq - 1)
        else:
            return found
    return None


async def newest(client: Client, stream: str, subject: str, up_to: int) -> Stored | None:
    """Return the newest message of one subject at or before seq `up_to`, valid or not, if any.

    Raises NatsUnreachableError.
    """
    if up_to < 1:
        return None
    request: dict[str, object] = {"multi_last": [subject], "up_to_seq": up_to}
    found = await direct_get(client, stream, request)
    return found[0] if found else None
