"""Where a feed starts to read a stream, and what it is told of what came before.

A gateway starts with the newest events. Of those before them, it gets the state of each subject. So
it is where a gateway is that has read the stream from its beginning.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from percolator.jetstream.client import NatsClient
from percolator.jetstream.direct import Stored
from percolator.jetstream.history import History
from percolator.jetstream.last_per_subject import States
from percolator.jetstream.stream import StreamState
from percolator.model.events import Decode
from percolator.model.kinds import Kind


class Start(NamedTuple):
    """Reading starts after seq `after`; `seeds` are the states of subjects up to there."""

    after: int
    seeds: list[Stored]


FindStart = Callable[[NatsClient, StreamState, bool], Awaitable[Start]]
"""Returns where to start in a stream in this state; the flag says that no other was read before.

May raise what a request raises.
"""


class WithBacklog:
    """Starts with a number of the newest events; with all of them, if the stream was replaced."""

    def __init__(
        self, stream: str, backlog: int, decode: Decode, histories: Mapping[Kind, History]
    ) -> None:
        """`histories` decide for those kinds of which the newest event need not be the state."""
        self._stream = stream
        self._backlog = backlog
        self._decode = decode
        self._histories = histories

    async def __call__(self, client: NatsClient, state: StreamState, is_first: bool) -> Start:  # noqa: FBT001 - as FindStart
        """Return the start. Raises NatsUnreachableError."""
        first = max(state.first_seq, 1)
        after = max(first - 1, state.last_seq - self._backlog) if is_first else first - 1
        if after < first:
            return Start(after, [])
        states = States(client, self._stream, self._decode, self._histories)
        return Start(after, await states.after(after, head=state.last_seq))
