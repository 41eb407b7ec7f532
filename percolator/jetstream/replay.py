"""Replay: deep history, the events of one subject after a seq, page by page."""

from collections.abc import Callable
from typing import NamedTuple

from nats.aio.client import Client

from percolator.errors import NatsUnreachableError
from percolator.jetstream.direct import Stored, direct_get
from percolator.jetstream.stream import StreamState, state_of

PAGE = 500


class Beginning(NamedTuple):
    """What a replay after a seq can rest on.

    `last` is the subject's newest event at or before that seq, where the stream still has it.
    `whole` is True where nothing of the subject after that seq has been dropped; else the stream
    holds it from `first_seq` on.
    """

    last: Stored | None
    whole: bool
    first_seq: int
    complete: bool


class Replay:
    """Reads back one stream; `client` gives the connection that is in use, or None."""

    def __init__(self, client: Callable[[], Client | None], stream: str) -> None:
        self._client = client
        self._stream = stream

    async def beginning(self, subject: str, after: int) -> Beginning:
        """See what a replay after a seq can rest on. Raises NatsUnreachableError.

        The stream drops a subject's oldest events first. So where it still has one at or before
        `after`, it has all of them after it.
        """
        client = self._connected()
        request: dict[str, object] = {"multi_last": [subject], "up_to_seq": after}
        found = await direct_get(client, self._stream, request) if after else []
        state = await self._state(client)
        untouched = state.complete or (after >= state.first_seq - 1 and not state.deleted)
        return Beginning(
            last=found[0] if found else None,
            whole=bool(found) or untouched,
            first_seq=state.first_seq,
            complete=state.complete,
        )

    async def page(self, subject: str, after: int) -> list[Stored]:
        """Give the next events of `subject` after seq `after`; none where there are none just now.

        Raises NatsUnreachableError.
        """
        request: dict[str, object] = {"seq": after + 1, "next_by_subj": subject, "batch": PAGE}
        return await direct_get(self._connected(), self._stream, request)

    async def _state(self, client: Client) -> StreamState:
        return state_of(await client.jetstream().stream_info(self._stream))

    def _connected(self) -> Client:
        client = self._client()
        if client is None:
            raise NatsUnreachableError("NATS is not connected just now")
        return client
