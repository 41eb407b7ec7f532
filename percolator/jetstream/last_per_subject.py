"""Heads: the newest valid event of each subject up to a seq, out of the stream itself.

With them and the events after that seq, a gateway that starts now has the state of one that has
read the stream from its beginning.
"""

from nats.aio.client import Client

from percolator.errors import EventError
from percolator.jetstream.direct import Stored, direct_get
from percolator.model.channel import Channel
from percolator.model.events import decode

SUBJECTS_A_REQUEST = 512
"""The server answers for 1,024 subjects at the most."""
STEPS_BACK = 100
"""So many bad events in a row are gone back over, one by one, in search of a good one."""


async def last_per_subject(client: Client, stream: str, pattern: str, up_to: int) -> list[Stored]:
    """Give the newest event, at or before seq `up_to`, of each subject that fits the pattern.

    A message that is no valid event does not hide the one before it. Raises NatsUnreachableError
    where the stream does not answer in time.
    """
    info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    subjects = sorted(info.state.subjects or {})
    found: list[Stored] = []
    for start in range(0, len(subjects), SUBJECTS_A_REQUEST):
        part = subjects[start : start + SUBJECTS_A_REQUEST]
        last = await direct_get(client, stream, {"multi_last": part, "up_to_seq": up_to})
        valid = [await _valid(client, stream, head) for head in last]
        found += [head for head in valid if head is not None]
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
    """Give the newest message of one subject at or before seq `up_to`, valid or not, if any.

    Raises NatsUnreachableError.
    """
    if up_to < 1:
        return None
    request: dict[str, object] = {"multi_last": [subject], "up_to_seq": up_to}
    found = await direct_get(client, stream, request)
    return found[0] if found else None
