"""A market's stream for the tests: events as frames, and a client that reads them."""

from dataclasses import dataclass, field

from percolator.model import messages
from percolator.model.channel import Channel
from percolator.model.kinds import KIND_OF_NAME, Funding, Price, Trade
from percolator.model.server_messages import ServerMessage
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.reader import Reader
from percolator_cli.loadtest.reference import Reference


@dataclass
class Market:
    """Publishes events, each as a frame of the gateway."""

    slab: str = "loadtest-x"
    seqs: dict[str, list[int]] = field(
        default_factory=lambda: {"price": [], "trade": [], "funding": []}
    )
    seq: int = 0

    @property
    def published(self) -> dict[Channel, list[int]]:
        """The seqs of its events, by channel."""
        return {Channel(KIND_OF_NAME[name], self.slab): seqs for name, seqs in self.seqs.items()}

    def event(self, kind: str, *, snapshot: bool = False, size: str = "1000000") -> bytes:
        """Publish the next event and return its frame."""
        self.seq += 1
        prev = self.seqs[kind][-1] if self.seqs[kind] else 0
        self.seqs[kind].append(self.seq)
        event: Price | Trade | Funding
        match kind:
            case "price":
                event = Price(price=1.5, timestamp=1, slab=self.slab)
            case "trade":
                event = Trade(side="long", size=size, price=1.5, timestamp=1, slab=self.slab)
            case "funding":
                event = Funding(rate="0.0001", timestamp=1, slab=self.slab)
        return messages.event_message(event, self.seq, prev, snapshot=snapshot)


class Client:
    """A reader, with its messages and control frames."""

    def __init__(self, reference: Reference) -> None:
        self.messages: list[ServerMessage] = []
        self.controls: list[tuple[int, bytes]] = []
        self.reader = Reader(
            reference,
            self.messages.append,
            lambda first, payload: self.controls.append((first, payload)),
        )

    def feed(self, *frames: bytes, chunk: int | None = None, now: float = 0.0) -> None:
        """Feed frames to the reader, `chunk` bytes at a time."""
        data = memoryview(b"".join(frames))
        size = chunk or max(len(data), 1)
        for start in range(0, len(data), size):
            self.reader.feed(data[start : start + size], now)


def reference(
    latency: Histogram | None = None,
    sent: dict[str, float] | None = None,
    slab: str = "loadtest-x",
) -> Reference:
    """Return a reference; `sent` has the time of sending by a trade's size."""
    return Reference(slab, latency or Histogram(), lambda _field, text: (sent or {}).get(text))
