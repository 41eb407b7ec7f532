"""The feed: what `follow` returns, and the program's side of it."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from percolator.client.address import GatewayAddress, parse
from percolator.client.bookmark import Bookmark, Position
from percolator.client.channel import Channel
from percolator.client.follower import Follower
from percolator.client.messages import Message, State
from percolator.client.tokens import Token, TokenSource

Since = int | Mapping[str, int] | Bookmark | None


class Feed:
    """Channels that are followed: an async iterator over their messages.

    A task of its own reads the connection, from the first `anext` or `async with` on. So a
    cancelled `anext` loses nothing, and what the program does not take in time is bounded: the
    latest price of each market waits, and up to 10,000 other messages; if there are more, a `Gap`
    per channel takes their place.

    Use it as an async context manager, which leaves the gateway at the end. A feed that is only
    dropped leaves too, as soon as Python notices; if `on_state` refers to it, Python never does.
    """

    def __init__(self, follower: Follower) -> None:
        """Call `follow`."""
        self._follower = follower
        weakref.finalize(self, follower.abandon).atexit = False

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._follower.state

    @property
    def bookmark(self) -> Bookmark:
        """How far the program has read: up to the last message that it was handed."""
        return self._follower.bookmark()

    def subscribe(self, channels: str | Sequence[str], *, recent: int = 0) -> None:
        """Follow more channels, each from now on, or from its last `recent` events on.

        A channel that is followed already goes on unchanged, without `recent`. A refusal comes as
        `Refused`. Raises RequestError if a name is not valid.
        """
        self._follower.follow([Channel(name, recent=recent) for name in _names(channels)])

    def unsubscribe(self, channels: str | Sequence[str]) -> None:
        """Follow channels no longer. What waits of them is dropped."""
        self._follower.unfollow(_names(channels))

    async def close(self) -> None:
        """Leave the gateway; the iteration ends. Takes at most a second, also on a dead line."""
        await self._follower.close()

    aclose = close

    async def __aenter__(self) -> Self:
        self._follower.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        self._follower.start()
        message = await self._follower.next()
        if message is None:
            raise StopAsyncIteration
        return message


def follow(
    url: str | GatewayAddress,
    channels: str | Sequence[str],
    *,
    since: Since = None,
    epoch: str | None = None,
    recent: int = 0,
    token: Token | None = None,
    on_state: Callable[[State], None] | None = None,
) -> Feed:
    """Follow channels of a gateway until the program leaves.

    - `url`: the gateway's address: ws, wss, http or https. A path prefix and `user:pass@` are kept.
    - `channels`: names such as `trades:SOL`, or `trades:*` for all markets.
    - `since`: resume each lossless channel after this seq, after its own in a mapping, or at a
      stored `Bookmark`. Without `epoch`, a stream that was replaced meanwhile cannot be told apart;
      a bookmark has it.
    - `recent`: start each lossless channel that does not resume with its last events.
    - `token`: a token, or a function that returns one, async or quick. It is called before each
      connection, and before the token expires.
    - `on_state`: called with each new `State`.

    Raises RequestError if a channel's name is not valid, and GatewayUnreachableError if the URL is
    no address. The iteration raises RequestError if the gateway refuses for good, and
    GatewayUnreachableError if the first answer is an HTTP error that will not go away. Any other
    failure is tried again, with growing waits.
    """
    names = _names(channels)
    address = parse(url) if isinstance(url, str) else url
    follower = Follower(address, None if token is None else TokenSource(token), on_state)
    follower.follow(
        [
            Channel(name, recent=recent, start=_start(name, since, epoch), given=True)
            for name in names
        ]
    )
    return Feed(follower)


def _start(name: str, since: Since, epoch: str | None) -> Position | None:
    if isinstance(since, Bookmark):
        return since.of(name)
    seq = since.get(name) if isinstance(since, Mapping) else since
    return None if seq is None else Position(epoch, seq)


def _names(channels: str | Sequence[str]) -> list[str]:
    return [channels] if isinstance(channels, str) else list(channels)
