"""Witnesses that follow with `percolator.client`."""

import asyncio
from typing import ClassVar

from percolator.client import Feed, Message, Refused, Update, follow
from percolator.client import Gap as ClientGap
from tests.integration.faults.traffic import number_of
from tests.integration.faults.witness import Event, Gap, Witness

PAUSE_SECONDS = 0.8
NUMBERED = ("type", "price", "size", "rate")
"""The fields that the number of an event is read from."""


class ClientWitness(Witness):
    """Takes each message as soon as it is there."""

    _client: ClassVar[str] = "the Python client"

    async def run(self, url: str) -> None:
        """Follow forever."""
        states = follow(
            url,
            self.follows,
            since=self.since,
            on_state=lambda state: self.note_state(state.name),
        )
        async with states as feed:
            await self._read(feed)

    async def _read(self, feed: Feed) -> None:
        async for message in feed:
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Update(channel, seq, prev, event, _, epoch):
                number = number_of({name: getattr(event, name, None) for name in NUMBERED})
                now = asyncio.get_running_loop().time()
                self.note(channel, Event(seq, prev, number, now, epoch))
            case ClientGap(channel, after, before, epoch, announced):
                self.note_gap(channel, Gap(after, before, epoch, announced))
            case Refused():
                raise AssertionError(message)


class SlowClientWitness(ClientWitness):
    """Rests whenever it has taken everything: messages pile up, and prices replace each other."""

    _client: ClassVar[str] = "the Python client, resting"

    async def _read(self, feed: Feed) -> None:
        while True:
            try:
                async with asyncio.timeout(0.001):
                    message = await anext(feed)
            except TimeoutError:
                await asyncio.sleep(PAUSE_SECONDS)  # it is slow: that is what it is for
            else:
                self._take(message)
