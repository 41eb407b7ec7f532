"""Witnesses: clients that record everything they receive, over any number of connections.

What is recorded is the same for each kind of client; the kinds have files of their own.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """A received event."""

    seq: int
    prev: int | None
    number: int
    at: float
    """Time of arrival, on the loop's clock."""
    epoch: str = ""
    """The stream's incarnation; empty if the client does not say."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap; `announced` is False if the client had to detect it.

    A `shared` one is of all markets of a kind: each of them may have lost events, or none.
    """

    after: int
    before: int
    epoch: str | None
    announced: bool = True
    shared: bool = False


def all_markets(channel: str) -> str:
    """Return the wildcard of a channel's kind."""
    return f"{channel.partition(':')[0]}:*"


@dataclass
class Witness:
    """What one client received on each channel, in order.

    With `wildcards` it follows all markets of each kind, and its channels are those markets.
    """

    _client: ClassVar[str] = "a client"

    channels: Sequence[str]
    wildcards: bool = False
    since: int | None = 0
    """Where it starts to follow; None is from now on."""
    seen: dict[str, list[Event | Gap]] = field(default_factory=dict)
    connections: int = 0

    def __post_init__(self) -> None:
        self.seen = {channel: [] for channel in self.channels}
        self._news = asyncio.Event()
        self._is_new = False

    @property
    def name(self) -> str:
        """What kind of client it is, and how it follows."""
        return self._client + (" of all markets" if self.wildcards else "")

    @property
    def follows(self) -> list[str]:
        """The names that it subscribes to."""
        names = (all_markets(each) if self.wildcards else each for each in self.channels)
        return list(dict.fromkeys(names))

    def note(self, channel: str, item: Event | Gap) -> None:
        """Record an event or a gap."""
        self.seen[channel].append(item)
        self._news.set()

    def note_gap(self, channel: str, gap: Gap) -> None:
        """Record a gap, of one channel or of all markets of a kind."""
        if channel in self.seen:
            self.note(channel, gap)
            return
        for each in self.channels:
            if all_markets(each) == channel:
                self.note(each, replace(gap, shared=True))

    def note_state(self, name: str) -> None:
        """Count a connection as soon as it follows everything; it may be stale in between."""
        if name == "connecting":
            self._is_new = True
        elif name == "live":
            self.connections += self._is_new
            self._is_new = False
            self._news.set()

    async def is_live(self) -> None:
        """Wait until it follows everything."""
        while not self.connections:
            self._news.clear()
            await self._news.wait()

    def last(self, channel: str) -> Event | None:
        """The newest event of a channel."""
        newest = self.seen[channel][-1:]
        return newest[0] if newest and isinstance(newest[0], Event) else None

    async def has(self, channel: str, number: int) -> Event:
        """Wait until the newest event of a channel has this number."""
        while True:
            last = self.last(channel)
            if last is not None and last.number == number:
                return last
            self._news.clear()
            await self._news.wait()

    async def reaches(self, channel: str, seq: int) -> None:
        """Wait until the newest event of a channel has this seq or a later one."""
        while (last := self.last(channel)) is None or last.seq < seq:
            self._news.clear()
            await self._news.wait()

    async def received(self, channel: str, after: float) -> Event:
        """Wait for an event that arrives after a time on the loop's clock."""
        while True:
            for item in self.seen[channel]:
                if isinstance(item, Event) and item.at > after:
                    return item
            self._news.clear()
            await self._news.wait()
