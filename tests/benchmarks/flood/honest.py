"""Honest clients: a crowd that measures how late trades are, and visitors that come and go.

While the clock matters, a client only keeps what it read and when; the ledgers are written later.
A trade's timestamp is when it was published, in microseconds of the machine's monotonic clock.
"""

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from percolator.model.times import EARLIEST_MS
from tests.benchmarks.ledger import LOSSLESS, PING, Ledger, percentile
from tests.benchmarks.load import masked
from tests.client import upgrade
from tests.gateway import eventually
from tests.nats_server import LOOPBACK

CHANNEL = "trades:SOL"
VISITOR = "127.0.4.1"
"""The address from which visitors come."""
VISIT_SECONDS = 0.5
"""Seconds between two visits."""
PATIENCE = 20.0
"""Seconds until a trade that has not come is lost."""
VISIT_PATIENCE = 5.0
"""Seconds until a visit that has not got what it came for was refused."""
PER_ADDRESS = 4
MICROS_PER_DAY = 86_400_000_000

_GREETING = re.compile(rb'"connected".*"epoch":"([^"]+)","seq":(\d+)')
_CLOSE = re.compile(rb"\x88.\x03", re.DOTALL)
"""A close frame with a code of 768 to 1,023."""
_SUBSCRIBED = re.compile(rb'"subscribed"')
_TRADE = re.compile(rb'"seq":(\d+),"prev"')

Found = TypeVar("Found")


def micros() -> int:
    """Return the time of the monotonic clock, which all processes share, within its day.

    It is added to a time that a gateway accepts as a timestamp in milliseconds.
    """
    return EARLIEST_MS + time.monotonic_ns() // 1_000 % MICROS_PER_DAY


@dataclass(frozen=True)
class Door:
    """How to get into a gateway."""

    port: int
    token: str
    tls: ssl.SSLContext | None = None

    async def open(self, address: str) -> "Reader":
        """Connect from an address and wait for the greeting.

        Raises OSError or TimeoutError if the gateway refuses or does not answer.
        """
        async with asyncio.timeout(VISIT_PATIENCE):
            _, reader = await asyncio.get_running_loop().create_connection(
                Reader,
                LOOPBACK,
                self.port,
                local_addr=(address, 0),
                ssl=self.tls,
                server_hostname="localhost" if self.tls else None,
            )
            headers = {"Authorization": f"Bearer {self.token}", "X-Forwarded-For": address}
            reader.transport.write(upgrade(headers=headers))
            try:
                await reader.until(_GREETING.search)
            except BaseException:
                reader.transport.abort()
                raise
        return reader


class Reader(asyncio.Protocol):
    """One honest client."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.arrived: list[tuple[int, bytes]] = []
        """What it has read, and when in microseconds."""
        self.trades = 0
        self._news: asyncio.Event | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep the data; answer pings."""
        self.arrived.append((micros(), data))
        self.trades += data.count(LOSSLESS)
        if (at := data.find(PING)) >= 0:
            self.transport.write(masked(10, data[at + 2 : at + 10]))
        if self._news is not None:
            self._news.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop waiting."""
        self._lost = True
        if self._news is not None:
            self._news.set()

    def text(self) -> bytes:
        """Return all that has arrived."""
        return b"".join(data for _, data in self.arrived)

    async def until(self, find: Callable[[bytes], Found | None]) -> Found:
        """Wait until something is found in the text. Raises OSError if the gateway closes."""
        self._news = asyncio.Event()
        while not (found := find(self.text())):
            if self._lost or _CLOSE.search(self.text()):
                raise ConnectionRefusedError(self.text()[-80:])
            self._news.clear()
            await self._news.wait()
        self._news = None
        return found

    def subscribe(self, **fields: object) -> None:
        """Send a subscribe."""
        message = {"type": "subscribe", "channels": [CHANNEL], **fields}
        self.transport.write(masked(1, json.dumps(message).encode()))

    def ledger(self) -> Ledger:
        """Write what arrived since the last call into a new ledger."""
        arrived, self.arrived = self.arrived, []
        ledger = Ledger(sampled=True)
        for at, data in arrived:
            ledger.record(data, at)
        return ledger


@dataclass(frozen=True)
class Figures:
    """What a crowd or the visitors saw in one phase."""

    p99_ms: float
    lost: int


class Crowd:
    """Clients that stay connected to one gateway."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers

    @classmethod
    async def connect(cls, door: Door, network: str, clients: int) -> "Crowd":
        """Connect and subscribe all, a few from each address of a network, such as 127.0.2."""
        readers = []
        for number in range(clients):
            reader = await door.open(f"{network}.{number // PER_ADDRESS + 1}")
            reader.subscribe()
            await reader.until(_SUBSCRIBED.search)
            readers.append(reader)
        return cls(readers)

    def forget(self) -> None:
        """Begin a phase: forget what arrived before."""
        for reader in self._readers:
            reader.arrived.clear()
            reader.trades = 0

    async def figures(self, expected: int, patience: float = PATIENCE) -> Figures:
        """Wait for the last trades of a phase; return the latency, and how many trades are lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await eventually(lambda: all(each.trades >= expected for each in self._readers))
        ledgers = [reader.ledger() for reader in self._readers]
        latencies = sorted(value for ledger in ledgers for value in ledger.latencies)
        lost = sum(max(expected - ledger.lossless, ledger.faults) for ledger in ledgers)
        return Figures(percentile(latencies, 0.99) / 1_000, lost)


class Visits:
    """A client that comes back again and again, and resumes each time."""

    def __init__(self, door: Door, back: int) -> None:
        self.lost = 0
        """Events that did not come, although the stream has them."""
        self.made = 0
        self.refused = 0
        """Visits that got no answer, or a refusal."""
        self._door = door
        self._back = back

    async def run(self) -> None:
        """Visit until cancelled."""
        async with asyncio.TaskGroup() as visits:
            while True:
                visits.create_task(self._visit())
                await asyncio.sleep(VISIT_SECONDS)

    async def _visit(self) -> None:
        self.made += 1
        try:
            reader = await self._door.open(VISITOR)
        except (OSError, TimeoutError):
            self.refused += 1
            return
        try:
            async with asyncio.timeout(VISIT_PATIENCE):
                await self._resume(reader)
        except (OSError, TimeoutError):
            self.refused += 1
        finally:
            reader.transport.abort()

    async def _resume(self, reader: Reader) -> None:
        greeting = await reader.until(_GREETING.search)
        seq = int(greeting[2])
        reader.subscribe(since=max(seq - self._back, 0), epoch=greeting[1].decode())
        await reader.until(lambda text: any(int(each) > seq for each in _TRADE.findall(text)))
        ledger = reader.ledger()
        self.lost += ledger.missing + ledger.faults
