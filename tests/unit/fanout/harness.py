"""A hub whose clock is a number, clients that keep what they receive, and a stream for them."""

from collections.abc import Callable
from typing import Any

from percolator.fanout.book import Book
from percolator.fanout.followers import Cursor, TrySend
from percolator.fanout.hub import Hub
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.price_fold import PriceRule
from percolator.fanout.reader import Resumed, Start
from percolator.fanout.slab_limits import SlabLimits
from percolator.model.kinds import Market
from percolator.stats import Stats
from tests.channels import channel, channel_of
from tests.unit.fanout.reference import make_event
from tests.unit.wire import Message, read_messages


class Writer:
    """The writer of a client, whose buffer is never empty unless `try_send` is set."""

    def __init__(
        self, send: Callable[[bytes], None], terminate: Callable[[], None] = lambda: None
    ) -> None:
        self.try_send: TrySend | None = None
        self.send = send
        self.terminate = terminate


class Client:
    """A client: its writes, each a list of messages, and how many more it has room for."""

    def __init__(self, hub: Hub) -> None:
        self.writes: list[list[Message]] = []
        self.cursor = Cursor(Writer(self._write))
        self.room = 1_000_000
        self._hub = hub

    def _write(self, data: bytes) -> None:
        self.writes.append(read_messages(data))
        self.room -= 1
        if self.room == 0:
            self._hub.pause(self.cursor)

    @property
    def got(self) -> list[Message]:
        """Return all messages since the last call."""
        got = [message for write in self.writes for message in write]
        self.writes.clear()
        return got

    @property
    def seqs(self) -> list[int | str]:
        """Return the seqs of all messages since the last call, with "gap" for a gap."""
        return [message["seq"] if "seq" in message else message["type"] for message in self.got]


class HubHarness:
    """A hub whose clock is a number, a complete stream, and clients."""

    def __init__(
        self,
        *,
        capacity: int = 5,
        turn_bytes: int = 32_768,
        per_slab: int = 0,
        wildcards: int = 0,
        channels: int = 0,
        price_rule: PriceRule | None = None,
    ) -> None:
        self.now = 10.0
        self.step = 0.0
        self.calls = 0
        self.stats = Stats(0.0)
        self.book = Book(
            clock=self._clock, wake=self._wake, log_capacity=capacity, price_rule=price_rule
        )
        self.limits = SlabLimits(
            per_slab=per_slab,
            wildcards=wildcards,
            channels_per_client=channels,
            retired=self.book.retired,
        )
        self.hub = Hub(
            self.book,
            clock=self._clock,
            wake=self._wake,
            stats=self.stats,
            limits=self.limits,
            turn_bytes=turn_bytes,
            turn_seconds=0.02,
        )
        self.book.begin("e", 0, first_seq=1, complete=True)

    def _clock(self) -> float:
        self.now += self.step
        return self.now

    def _wake(self) -> None:
        self.calls += 1

    def client(self, *channels: str, start: Start | None = None) -> Client:
        """Return a client that follows some channels and has received its first messages."""
        client = Client(self.hub)
        for name in channels:
            self.hub.subscribe(client.cursor, channel(name), start or Start())
        self.flush()
        return client

    def publish(self, *seqs: int, kind: str = "trade", slab: str = "SOL") -> None:
        """Publish events with these seqs."""
        for seq in seqs:
            event = make_event(kind, slab, seq)
            self.book.publish(seq, channel_of(kind, slab), event, event.timestamp)

    def describe(self, seq: int, status: str, slab: str = "SOL") -> None:
        """Publish what a market is."""
        fields: dict[str, Any] = {"status": status}
        event = Market(**fields, timestamp=seq, slab=slab)
        self.book.publish(seq, channel_of("market", slab), event, seq)

    def flush(self) -> int:
        """Flush until nothing is left; return the number of turns."""
        turns = 1
        while self.hub.flush():
            turns += 1
            assert turns < 1_000
        return turns

    def resume(self, client: Client, since: int, *, limit: int | None = None) -> Resumed:
        """Resume trades of SOL in the stream that is read now."""
        return self.hub.subscribe(client.cursor, channel("trades:SOL"), Start(since, "e"), limit)

    def log(self, name: str = "trades:SOL") -> LosslessLog:
        """Return the log of a channel."""
        log = self.book.logs[channel(name)]
        assert isinstance(log, LosslessLog)
        return log
