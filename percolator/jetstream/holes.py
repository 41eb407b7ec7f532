"""Holes: seqs that the stream no longer holds, although it holds older ones.

The limits of a stream, purges and rollups remove the oldest messages of a subject first. Then a
channel of which the last event read is still held has lost none after it, whatever is missing. A
message that expires by itself, or that an operator deletes, can be any. NATS does not say which
subject a missing seq had. So unless the definition of the stream rules such losses out, a missing
seq may have been an event of every channel, except where a limit explains it: a subject that has
reached the limit per subject has lost what was before its first message.
"""

import asyncio

import nats.errors
from nats.js.errors import Error as JetStreamError

from percolator.errors import NatsUnreachableError
from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored, ask_leader, deleted_seqs
from percolator.jetstream.failures import words
from percolator.jetstream.removal import Removal
from percolator.jetstream.stream import StreamState
from percolator.jetstream.subjects import covers

MAX_LISTED = 10_000
"""Missing seqs that are listed; the server has no way to list a part of them."""
REQUESTS = 64
"""Requests in flight at a time."""


async def unexplained(
    client: NatsClient,
    stream: str,
    state: StreamState,
    between: tuple[int, int],
    *,
    subject: str = "",
    last: Stored | None = None,
) -> list[int] | None:
    """Return the missing seqs between two, both excluded, that may be events of a subject.

    The subject may be a wildcard. `last` is the newest event that matches it before them, if that
    is known to be held. Returns None if too many seqs are missing to know which may be events.
    Raises NatsUnreachableError.
    """
    after, before = between
    in_order = last is not None and "*" not in subject
    # What the stream has dropped at its beginning since the events were read is not listed.
    dropped = range(after + 1, min(state.first_seq, before))
    if not (state.deleted or dropped) or (in_order and state.removal is Removal.OLDEST_FIRST):
        return []
    if max(state.deleted, len(dropped)) > MAX_LISTED:
        return await _unlisted(client, stream, state, after, subject=subject, last=last)
    first_seq, deleted = await deleted_seqs(client, stream)
    missing = [*range(after + 1, min(first_seq, before))]
    missing += [seq for seq in deleted if after < seq < before]
    if not missing or state.removal is Removal.ANY:
        return missing
    full = await full_subjects(client, stream, state)
    own = [each for each in full if covers(subject, each)]
    others = [each for each in full if not covers(subject, each)]
    lost = await explained_before(client, stream, own, enough=missing[-1])
    explained = await explained_before(client, stream, others, enough=missing[-1])
    return [seq for seq in missing if seq < lost or seq >= explained]


async def _unlisted(
    client: NatsClient,
    stream: str,
    state: StreamState,
    after: int,
    *,
    subject: str,
    last: Stored | None,
) -> list[int] | None:
    """Answer as `unexplained`, if too many seqs are missing to list them.

    If single messages do not expire, only the limit per subject can have removed that many.
    """
    if state.removal is Removal.ANY:
        return None
    if "*" in subject:
        own = await full_subjects(client, stream, state, subject)
        if await explained_before(client, stream, own, enough=after) > after:
            return None
    return [] if last else [after + 1]


async def full_subjects(
    client: NatsClient, stream: str, state: StreamState, pattern: str = ">"
) -> list[str]:
    """Return the subjects that have reached the limit per subject; none if that explains nothing.

    Where single messages expire, the limit is no explanation. Raises NatsUnreachableError.
    """
    if not state.deleted or not state.max_per_subject or state.removal is Removal.ANY:
        return []
    try:
        info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    except (nats.errors.Error, JetStreamError) as error:
        raise NatsUnreachableError(f"the stream {stream} cannot be read: {words(error)}") from None
    held = info.state.subjects or {}
    return [subject for subject, count in held.items() if count >= state.max_per_subject]


async def explained_before(client: NatsClient, stream: str, full: list[str], *, enough: int) -> int:
    """Return the seq before which a missing seq may have been of one of these full subjects.

    The search ends at a seq that is greater than `enough`. Raises NatsUnreachableError.
    """
    explained = 0
    for start in range(0, len(full), REQUESTS):
        part = full[start : start + REQUESTS]
        requests = ({"seq": 1, "next_by_subj": subject} for subject in part)
        found = await asyncio.gather(*(ask_leader(client, stream, each) for each in requests))
        explained = max(explained, *(first.seq if first else 0 for first in found))
        if explained > enough:
            break
    return explained
