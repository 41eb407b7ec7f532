"""The client for Python programs: what it requests from a gateway, and what it yields."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from percolator.client import Feed, Gap, Message, State, Update, backoff, follow
from tests.client import PATIENCE
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway
from tests.nats_server import ReservedPort

A, B = "trades:A", "trades:B"


class Following:
    """A program that follows channels and keeps what it receives."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.got: list[Message] = []

    def on_state(self, state: State) -> None:
        """Record the connection's state."""
        self.states.append(state.name)

    def of(self, channel: str) -> list[int | Message]:
        """Return what was received on a channel: seqs and gaps."""
        return [
            message.seq if isinstance(message, Update) else message
            for message in self.got
            if message.channel == channel
        ]

    async def read(self, feed: Feed) -> None:
        """Keep everything that is received."""
        async with feed:
            async for message in feed:
                self.got.append(message)


@contextlib.asynccontextmanager
async def following(
    gateway: Gateway, *channels: str, **options: object
) -> AsyncIterator[Following]:
    """Follow channels for the length of a block, which begins once all are followed."""
    program = Following()
    url = f"ws://127.0.0.1:{gateway.port}"
    messages = follow(url, channels, on_state=program.on_state, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(program.read(messages))
    try:
        await eventually(lambda: followed(gateway) == set(channels))
        yield program
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def followed(gateway: Gateway) -> set[str]:
    """Return the channels that have followers."""
    return {log.channel.name for log in gateway.service.hub.book.logs.values() if log.followers}


async def cut_off(gateway: Gateway) -> None:
    """End all connections without a close frame."""
    for connection in list(gateway.service.gateway.connections):
        connection.terminate()
    await eventually(lambda: not followed(gateway))


async def test_the_client_keeps_retrying_however_long_the_gateway_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number of tries exceeds the exponent that a float can hold."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.0)
    tries = 0
    enough = asyncio.Event()

    def on_state(state: State) -> None:
        nonlocal tries
        tries += state.name == "waiting"
        if tries > 1_100:
            enough.set()

    port = ReservedPort()
    messages = follow(f"ws://127.0.0.1:{port.number}", [A], on_state=on_state)
    reading = asyncio.ensure_future(anext(messages))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([reading, waiting], timeout=PATIENCE, return_when="FIRST_COMPLETED")
    port.release()
    assert (waiting.done(), reading.done()) == (True, False)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_new_channel_gets_no_gap_when_another_channel_resumes_from_an_old_stream(
    gateway: Gateway,
) -> None:
    """The new channel was not read from any stream before."""
    seqs = [await gateway.publish("trade", slab) for slab in ("A", "B", "A", "B")]
    await gateway.has_read(seqs[-1])
    async with following(gateway, A, B, since={A: 70}, epoch="another") as program:
        seqs.append(await gateway.publish("trade", "B"))
        await eventually(lambda: bool(program.of(B)) and len(program.of(A)) == 3)
        assert program.of(B) == [seqs[-1]]
        epoch = gateway.service.hub.book.epoch
        assert program.of(A) == [Gap(A, 70, 1, epoch), seqs[0], seqs[2]]


async def test_each_channel_resumes_in_the_stream_that_it_was_read_from(gateway: Gateway) -> None:
    """If the connection ends between the gaps of two channels, the second still gets its own."""
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


async def test_more_channels_than_fit_into_one_message_are_resumed(
    start_gateway: StartGateway,
) -> None:
    """The request to resume names each channel twice, and its seq."""
    gateway = await start_gateway(max_channels_per_client=0)
    slabs = [f"{number:044}" for number in range(45)]
    async with following(gateway, *(f"trades:{slab}" for slab in slabs)) as program:
        await cut_off(gateway)
        seqs = [await gateway.publish("trade", slab) for slab in slabs]
        await eventually(lambda: len(program.got) == len(slabs))
        assert [program.of(f"trades:{slab}") for slab in slabs] == [[seq] for seq in seqs]
        assert program.states == ["connecting", "live", "waiting", "connecting", "live"]


async def test_a_seq_ahead_of_the_stream_is_a_gap_and_hides_no_event(gateway: Gateway) -> None:
    """It belongs to a deleted stream, which the gateway cannot know if no epoch is named."""
    async with following(gateway, A, since=1_000) as program:
        seqs = [await gateway.publish("trade", "A") for _ in range(3)]
        gap = Gap(A, 1_000, 1, gateway.service.hub.book.epoch, announced=False)
        await eventually(lambda: program.of(A) == [gap, *seqs])
