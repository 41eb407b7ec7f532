"""The stream as a gateway watches it: created, created again, and changed while it is read.

What an operator does to the stream is logged, once.
"""

import logging

from nats.js.api import StreamConfig

from percolator.errors import NatsUnreachableError, StreamConflictError, StreamMissingError
from percolator.jetstream import stream
from percolator.jetstream.client import NatsClient
from percolator.jetstream.stream import StreamState
from percolator.jetstream.subjects import Growth

logger = logging.getLogger(__name__)


class WatchedStream:
    """A stream that a gateway reads, with the definition that it last had."""

    def __init__(self, name: str, *, create: bool = True) -> None:
        """With `create`, the stream is created if it is missing."""
        self.name = name
        self._create = create
        self._last: StreamConfig | None = None
        self._growth: tuple[Growth, ...] = ()
        self._conflict = ""

    async def ensure(self, client: NatsClient, *, timeout: float) -> StreamState:  # noqa: ASYNC109
        """Return the state of the stream; create it if it is missing, as it last was if known.

        Raises as `stream.ensure`.
        """
        last = self._last
        state = await stream.ensure(
            client, self.name, create=self._create, like=last, timeout=timeout
        )
        if state.created and last is not None:
            logger.warning(
                "feed: the stream %s was deleted, with all of its events, and was created again as "
                "it was (%s); to create it yourself, set create_stream to false",
                self.name,
                stream.described(last),
            )
        self._note(state)
        return state

    async def look(self, client: NatsClient, *, timeout: float) -> StreamState:  # noqa: ASYNC109
        """Return the state of the stream, which is never created here; log what has changed.

        Raises as `stream.ensure`.
        """
        try:
            state = await stream.ensure(client, self.name, create=False, timeout=timeout)
        except StreamConflictError as error:
            if str(error) != self._conflict:
                self._conflict = str(error)
                logger.warning("feed: %s", error)
            raise
        except StreamMissingError:
            if not self._create:
                raise
            raise NatsUnreachableError(f"the stream {self.name} was deleted") from None
        self._note(state)
        return state

    def _note(self, state: StreamState) -> None:
        self._conflict = ""
        self._last = state.config
        for growth in set(state.growth).difference(self._growth):
            logger.warning("feed: %s; to change that: %s", growth.lacks, growth.command)
        self._growth = state.growth
