"""Heads: the newest event of each subject up to a seq, out of the stream itself.

With them and the events after that seq, a gateway that starts now has the state of one that has
read the stream from its beginning.
"""

from nats.aio.client import Client

from percolator.jetstream.direct import Stored, direct_get

SUBJECTS_A_REQUEST = 512
"""The server answers for 1,024 subjects at the most."""


async def heads(client: Client, stream: str, pattern: str, up_to: int) -> list[Stored]:
    """Give the newest event, at or before seq `up_to`, of each subject that fits the pattern.

    Raises NatsUnreachableError where the stream does not answer in time.
    """
    info = await client.jetstream().stream_info(stream, subjects_filter=pattern)
    subjects = sorted(info.state.subjects or {})
    found: list[Stored] = []
    for start in range(0, len(subjects), SUBJECTS_A_REQUEST):
        part = subjects[start : start + SUBJECTS_A_REQUEST]
        found += await direct_get(client, stream, {"multi_last": part, "up_to_seq": up_to})
    return found
