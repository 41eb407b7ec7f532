"""The newest valid event of each subject up to a seq, from the stream itself.

Together with the events after that seq, they give a gateway that starts now the same state as one
that has read the stream from its beginning.
"""

from percolator.errors import EventError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, direct_get, direct_get_all
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.events import Decode

SUBJECTS_PER_REQUEST = 512
"""Subjects per request; the server allows at most 1,024."""
STEPS_BACK = 100
"""Invalid events of a subject that are skipped, one by one, to find a valid one."""


async def last_per_subject(
    client: NatsClient, stream: str, pattern: str, up_to: int, decode: Decode = events.decode
) -> list[Stored]:
    """Return the newest event, at or before seq `up_to`, of each subject that matches the pattern.

    An event that `decode` refuses does not hide the valid one before it. Raises
    NatsUnreachableError if the stream does not answer in time.
    """
    info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    # Publishers choose subjects: a long one could make the request too large, and `*` would ask for
    # all of them.
    subjects = sorted(subject for subject in info.state.subjects or {} if _channel(subject))
    found: list[Stored] = []
    for start in range(0, len(subjects), SUBJECTS_PER_REQUEST):
        part = subjects[start : start + SUBJECTS_PER_REQUEST]
        request: dict[str, object] = {"multi_last": part, "up_to_seq": up_to}
        async for last in direct_get_all(client, stream, request):
            valid = await _valid(client, stream, last, decode)
            if valid is not None:
                found.append(valid)
    return found


def _channel(subject: str) -> Channel | None:
    try:
        return Channel.of_subject(subject)
    except EventError:
        return None


async def _valid(client: NatsClient, stream: str, last: Stored, decode: Decode) -> Stored | None:
    """Return the newest valid event of a subject, if one of the last STEPS_BACK is valid."""
    channel = _channel(last.subject)
    found: Stored | None = last
    for _ in range(STEPS_BACK):
        if channel is None or found is None:
            return None
        try:
            decode(channel, found.payload, found.ms)
        except EventError:
            found = await newest(client, stream, last.subject, found.seq - 1)
        else:
            return found
    return None


async def newest(client: NatsClient, stream: str, subject: str, up_to: int) -> Stored | None:
    """Return the newest message of one subject at or before seq `up_to`, valid or not, if any.

    Raises NatsUnreachableError.
    """
    if up_to < 1:
        return None
    request: dict[str, object] = {"multi_last": [subject], "up_to_seq": up_to}
    found, _ = await direct_get(client, stream, request)
    return found[0] if found else None
