"""The client for Python programs: what it asks a gateway for, and how it comes back."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from percolator import client as module
from percolator.client import Gap, Message, State, Update, follow
from tests.client import PATIENCE
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway
from tests.nats_server import ReservedPort

A, B = "trades:A", "trades:B"


class Following:
    """A program that follows channels, and keeps what it gets."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.got: list[Message] = []

    def told(self, state: State) -> None:
        """Note how it stands."""
        self.states.append(state.name)

    def of(self, channel: str) -> list[int | Gap]:
        """What came of a channel: seqs, and gaps."""
        mine = [one for one in self.got if one.channel == channel]
        return [one.seq if isinstance(one, Update) else one for one in mine]

    async def read(self, messages: AsyncGenerator[Message]) -> None:
        """Keep all that comes."""
        async with contextlib.aclosing(messages):
            async for message in messages:
                self.got.append(message)


@contextlib.asynccontextmanager
async def following(
    gateway: Gateway, *channels: str, **options: object
) -> AsyncIterator[Following]:
    """Follow channels of a gateway for a while, once all of them are followed."""
    program = Following()
    url = f"ws://127.0.0.1:{gateway.port}"
    messages = follow(url, channels, on_state=program.told, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(program.read(messages))
    try:
        await eventually(lambda: followed(gateway) == set(channels))
        yield program
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def followed(gateway: Gateway) -> set[str]:
    """The channels that somebody follows."""
    return {log.channel.name for log in gateway.service.hub.book.logs.values() if log.followers}


async def cut_off(gateway: Gateway) -> None:
    """End all connections without a word."""
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await eventually(lambda: not followed(gateway))


async def test_a_gateway_is_tried_again_however_long_it_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More often than a number can be doubled."""
    monkeypatch.setattr(module, "LONGEST_DELAY", 0.0)
    tries = 0
    enough = asyncio.Event()

    def told(state: State) -> None:
        nonlocal tries
        tries += state.name == "waiting"
        if tries > 1_100:
            enough.set()

    port = ReservedPort()
    messages = follow(f"ws://127.0.0.1:{port.number}", [A], on_state=told)
    reading = asyncio.ensure_future(anext(messages))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([reading, waiting], timeout=PATIENCE, return_when="FIRST_COMPLETED")
    port.release()
    assert (waiting.done(), reading.done()) == (True, False)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_channel_that_begins_now_has_no_gap_for_the_old_stream_of_another(
    gateway: Gateway,
) -> None:
    """It was not read from any stream before."""
    seqs = [await gateway.publish("trade", slab) for slab in ("A", "B", "A", "B")]
    await gateway.has_read(seqs[-1])
    async with following(gateway, A, B, since={A: 70}, epoch="another") as program:
        seqs.append(await gateway.publish("trade", "B"))
        await eventually(lambda: bool(program.of(B)) and len(program.of(A)) == 3)
        assert program.of(B) == [seqs[-1]]
        epoch = gateway.service.hub.book.epoch
        assert program.of(A) == [Gap(A, 70, 1, epoch), seqs[0], seqs[2]]


async def test_each_channel_is_resumed_in_the_stream_it_was_read_from(gateway: Gateway) -> None:
    """Where the connection ends between the gaps of two channels, the second has its own still."""
    seqs = [await gateway.publish("trade", slab) for slab in ("A", "B")]
    await gateway.has_read(seqs[-1])
    async with following(gateway, A, B, since={A: 70, B: 80}, epoch="another") as program:
        await eventually(lambda: len(program.got) == 4)
        await cut_off(gateway)
        await eventually(lambda: followed(gateway) == {A, B})
        seqs += [await gateway.publish("trade", slab) for slab in ("A", "B")]
        epoch = gateway.service.hub.book.epoch
        await eventually(lambda: len(program.got) == 6)
        assert program.of(A) == [Gap(A, 70, 1, epoch), seqs[0], seqs[2]]
        assert program.of(B) == [Gap(B, 80, 1, epoch), seqs[1], seqs[3]]


async def test_more_channels_than_a_message_holds_are_resumed(start_gateway: StartGateway) -> None:
    """The request to resume names each twice, and its seq."""
    gateway = await start_gateway(max_channels_per_client=0)
    slabs = [f"{number:044}" for number in range(45)]
    async with following(gateway, *(f"trades:{slab}" for slab in slabs)) as program:
        await cut_off(gateway)
        seqs = [await gateway.publish("trade", slab) for slab in slabs]
        await eventually(lambda: len(program.got) == len(slabs))
        assert [program.of(f"trades:{slab}") for slab in slabs] == [[seq] for seq in seqs]
        assert program.states == ["connecting", "live", "waiting", "connecting", "live"]


async def test_a_seq_that_the_stream_has_not_come_to_yet_hides_nothing(gateway: Gateway) -> None:
    """It is of a stream that is no more, and the gateway cannot know where no epoch is named."""
    async with following(gateway, A, since=1_000) as program:
        seqs = [await gateway.publish("trade", "A") for _ in range(3)]
        await eventually(lambda: program.of(A) == seqs)
