"""A program that follows channels in a task, and keeps what it receives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from percolator.client import Feed, Gap, Message, Refused, State, Update, follow


class Program:
    """What a program has received, and the states that it was shown."""

    feed: Feed
    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.states: list[State] = []
        self.got: list[Message] = []

    @property
    def names(self) -> list[str]:
        """The names of the states so far."""
        return [state.name for state in self.states]

    @property
    def state(self) -> str:
        """The name of the last state; empty before the first."""
        return self.names[-1] if self.states else ""

    @property
    def short(self) -> list[object]:
        """What was received: the seqs of events, codes of refusals, and gaps."""
        return [short(message) for message in self.got]

    async def read(self) -> None:
        """Keep everything that is received."""
        async for message in self.feed:
            self.got.append(message)


def short(message: Message) -> object:
    """Return the seq of an event, the code of a refusal, or a gap."""
    match message:
        case Update():
            return message.seq
        case Refused():
            return message.channel, message.code
        case Gap():
            return message


@contextlib.asynccontextmanager
async def following(url: str, *channels: str, **options: object) -> AsyncIterator[Program]:
    """Follow channels for the length of a block. What ends the program earlier is raised."""
    program = Program()
    states = program.states.append
    program.feed = follow(url, channels, on_state=states, **options)  # type: ignore[arg-type]
    async with program.feed:
        program.task = asyncio.create_task(program.read())
        yield program
        if program.task.done():
            program.task.result()
    await asyncio.gather(program.task, return_exceptions=True)
