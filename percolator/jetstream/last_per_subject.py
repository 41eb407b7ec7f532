"""The state of each subject up to a seq, from the stream itself: mostly its newest valid event.

Together with the events after that seq, they give a gateway that starts now the same state as one
that has read the stream from its beginning.
"""

from collections.abc import Mapping

from percolator.errors import EventError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, direct_get, direct_get_all
from percolator.jetstream.history import History, Look
from percolator.model import events
from percolator.model.channel import SUBJECTS, Channel
from percolator.model.events import Decode
from percolator.model.kinds import Kind

SUBJECTS_PER_REQUEST = 512
"""Subjects per request; the server allows at most 1,024."""
STEPS_BACK = 100
"""Invalid events of a subject that are skipped, one by one, to find a valid one."""


class States:
    """Reads the states of all subjects of a stream."""

    def __init__(
        self, client: NatsClient, stream: str, decode: Decode, histories: Mapping[Kind, History]
    ) -> None:
        """`histories` decide for those kinds of which the newest valid event need not be it."""
        self._client = client
        self._stream = stream
        self._decode = decode
        self._histories = histories

    async def after(self, seq: int, head: int) -> list[Stored]:
        """Return the event that is the state of each subject after a seq.

        It is made for a reader that goes on to `head`: a state that an event up to there replaces
        in any case may be another one. Raises NatsUnreachableError if the stream does not answer in
        time.
        """
        found: list[Stored] = []
        for kind, pattern in SUBJECTS.items():
            place = self._client, self._stream, pattern
            history = self._histories.get(kind)
            if history is None:
                found += await last_per_subject(*place, seq, self._decode)
                continue
            newest, _ = await _newest_of_each(*place, seq)
            heads, counts = await _newest_of_each(*place, head)
            by_subject = {event.subject: event for event in heads}
            look = Look(self._client, self._stream, history)
            found += await look.states(newest, by_subject, counts)
        return found


async def last_per_subject(
    client: NatsClient, stream: str, pattern: str, up_to: int, decode: Decode = events.decode
) -> list[Stored]:
    """Return the newest event, at or before seq `up_to`, of each subject that matches the pattern.

    An event that `decode` refuses does not hide the valid one before it. Raises
    NatsUnreachableError if the stream does not answer in time.
    """
    newest, _ = await _newest_of_each(client, stream, pattern, up_to)
    valid = [await _valid(client, stream, event, decode) for event in newest]
    return [event for event in valid if event is not None]


async def _newest_of_each(
    client: NatsClient, stream: str, pattern: str, up_to: int
) -> tuple[list[Stored], Mapping[str, int]]:
    """Return the newest event of each subject, valid or not; and how many there are of each."""
    info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    # Publishers choose subjects: a long one could make the request too large, and `*` would ask for
    # all of them.
    counts = info.state.subjects or {}
    subjects = sorted(subject for subject in counts if _channel(subject))
    found: list[Stored] = []
    for start in range(0, len(subjects), SUBJECTS_PER_REQUEST):
        part = subjects[start : start + SUBJECTS_PER_REQUEST]
        request: dict[str, object] = {"multi_last": part, "up_to_seq": up_to}
        found += [event async for event in direct_get_all(client, stream, request)]
    return found, counts


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
