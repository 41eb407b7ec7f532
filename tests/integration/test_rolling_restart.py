"""A rolling restart: two gateways behind a balancer are replaced in turn, under load."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import nats

from percolator.client import Gap, Update, follow
from percolator.jetstream.publisher import Publisher
from tests.balancer import Balancer
from tests.channels import subject_of
from tests.cli.program import Program, Running, Serving
from tests.client import PATIENCE
from tests.gateway import event_json, eventually

CLIENTS = 30
CHANNELS = ["trades:SOL", "funding:SOL", "price:SOL"]
EVENT_SECONDS = 0.005
DRAIN_SECONDS = 5


class Fleet:
    """Gateways as processes behind a balancer."""

    def __init__(self, program: Program, balancer: Balancer) -> None:
        self._program = program
        self._balancer = balancer
        self._running: dict[int, tuple[Running, contextlib.ExitStack]] = {}

    async def add(self) -> int:
        """Start one more gateway, and add it to the balancer once it is ready; return its port."""
        stack = contextlib.ExitStack()
        running = stack.enter_context(self._program.start("serve"))
        serving = await asyncio.to_thread(Serving.when_ready, running)
        port = int(serving.ws.rpartition(":")[2])
        self._running[port] = running, stack
        self._balancer.backends.append(port)
        return port

    async def end(self, port: int) -> None:
        """End a gateway with SIGTERM, as a deployment does; the balancer notices by its socket."""
        running, stack = self._running.pop(port)
        running.signal(signal.SIGTERM)
        done = await asyncio.to_thread(running.end)
        assert done.code == 0, done
        self._balancer.backends.remove(port)
        stack.close()

    def close(self) -> None:
        """End all remaining gateways at once."""
        for _, stack in self._running.values():
            stack.close()


@contextlib.asynccontextmanager
async def fleet(folder: Path, nats_url: str, stream: str) -> AsyncIterator[tuple[Fleet, Balancer]]:
    """Two gateways and the balancer in front of them."""
    settings = {"max_connections_per_ip": 0, "attempts_per_second": 0, "port": 0}
    program = Program(
        folder, nats_url=nats_url, stream=stream, drain_seconds=DRAIN_SECONDS, **settings
    )
    async with Balancer() as balancer:
        gateways = Fleet(program, balancer)
        try:
            await gateways.add()
            await gateways.add()
            yield gateways, balancer
        finally:
            gateways.close()


class Load:
    """Publishes trades and some funding rates, and records every seq."""

    def __init__(self, publisher: Publisher) -> None:
        self.seqs: dict[str, list[int]] = {"trades:SOL": [], "funding:SOL": []}
        self._publisher = publisher
        self._stopping = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        count = 0
        while not self._stopping:
            count += 1
            await self._publish("trade", "trades:SOL")
            if count % 10 == 0:
                await self._publish("funding", "funding:SOL")
            await self._publisher.publish(subject_of("price", "SOL"), event_json("price"))
            await asyncio.sleep(EVENT_SECONDS)

    async def _publish(self, kind: str, channel: str) -> None:
        assert kind in ("trade", "funding")
        payload = event_json("trade" if kind == "trade" else "funding")
        seq = await self._publisher.publish(f"percolator.{kind}.SOL", payload)
        self.seqs[channel].append(seq)

    async def stop(self) -> None:
        """Stop publishing; one last trade tells the clients so."""
        self._stopping = True
        await self._task
        await self._publish("trade", "trades:SOL")


class Reader:
    """A client that follows all channels from the beginning, and keeps what it receives."""

    def __init__(self, url: str) -> None:
        self.seqs: dict[str, list[int]] = {"trades:SOL": [], "funding:SOL": []}
        self.gaps: list[Gap] = []
        self.prices = 0
        self.connections = 0
        self.task = asyncio.create_task(self._run(url))

    async def _run(self, url: str) -> None:
        async with follow(url, CHANNELS, since=0, on_state=self._state) as feed:
            async for message in feed:
                match message:
                    case Gap():
                        self.gaps.append(message)
                    case Update(channel="price:SOL"):
                        self.prices += 1
                    case Update() if not message.snapshot:
                        self.seqs[message.channel].append(message.seq)

    def _state(self, state: object) -> None:
        self.connections += getattr(state, "name", "") == "live"


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[list[Reader]]:
    """Run clients for the length of a block."""
    readers = [Reader(url) for _ in range(CLIENTS)]
    try:
        await eventually(lambda: all(reader.connections for reader in readers))
        yield readers
    finally:
        for reader in readers:
            reader.task.cancel()
        await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)


async def have_read(readers: list[Reader], seq: int) -> None:
    """Wait until each client has received the trade with a seq."""
    await eventually(lambda: all(reader.seqs["trades:SOL"][-1:] >= [seq] for reader in readers))


async def test_no_client_loses_an_event_in_a_rolling_restart(
    tmp_path: Path, nats_url: str, stream_name: str
) -> None:
    """Each client is moved once or twice, and has every trade and rate once and in order."""
    client = await nats.connect(nats_url)
    async with fleet(tmp_path, nats_url, stream_name) as (gateways, balancer):
        load = Load(Publisher(client, stream_name))
        async with reading(f"ws://127.0.0.1:{balancer.port}") as readers:
            for old in tuple(balancer.backends):
                new = await gateways.add()
                async with asyncio.timeout(DRAIN_SECONDS + PATIENCE):
                    await gateways.end(old)
                await have_read(readers, load.seqs["trades:SOL"][-1])
                assert balancer.carried[new] > 0
            await load.stop()
            await have_read(readers, load.seqs["trades:SOL"][-1])
    await client.close()
    for reader in readers:
        assert reader.gaps == []
        for channel, seqs in load.seqs.items():
            assert reader.seqs[channel] == seqs
        assert reader.prices > 0
    assert sum(reader.connections for reader in readers) >= 2 * CLIENTS
