"""A naive hub to compare the real one with: the whole stream, and what each client has of it.

The stream is a list of all events there ever were, including those that the gateway never saw. A
client checks each message on arrival: it must match the stream, in order and once, and every
earlier event must have been received or announced as lost by a gap.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from percolator.fanout.reader import Start
from percolator.model.kinds import Event, Funding, Liquidation, Market, Price, Trade
from tests.channels import channel_of
from tests.unit.wire import Message, read_messages

ANOTHER_LIFE = "another life"
"""The epoch of a stream that was never read here."""
CHANNELS = {"price": "price", "trade": "trades", "funding": "funding"}
NAMED: tuple[tuple[str, str], ...] = (
    *(("trade", "A"), ("funding", "A"), ("price", "A")),
    *(("trade", "B"), ("price", "B")),
)
"""The channels that there are: kinds and markets."""
ALL_CHANNELS = tuple(channel_of(*named).name for named in NAMED)
PER_SLAB, WILDCARDS, PER_CLIENT = 3, 3, 2


@dataclass(frozen=True, eq=False)
class Stored:
    """One event of a channel in the stream; `prev` is the event before it, 0 if there is none."""

    epoch: str
    seq: int
    prev: int
    event: Event


class Lost(NamedTuple):
    """Seqs of an epoch, between `after` and `before`, of which the gateway saw nothing."""

    epoch: str
    after: int
    before: int


def make_event(kind: str, slab: str, number: int) -> Event:
    """Return an event that differs from all others."""
    match kind:
        case "price":
            return Price(price=float(number), timestamp=number, slab=slab)
        case "trade":
            return Trade(side="long", size=str(number), price=1.5, timestamp=number, slab=slab)
        case "liquidation":
            return Liquidation(
                side="long", size=str(number), price=1.5, timestamp=number, slab=slab
            )
        case "market":
            return Market(status="active", displayName=f"{number}", timestamp=number, slab=slab)
        case _:
            return Funding(rate=str(number), timestamp=number, slab=slab)


class Stream:
    """Every event of every channel, over all epochs of the stream."""

    def __init__(self) -> None:
        self.lives = 1
        self.seq = 0
        self.channels: dict[str, list[Stored]] = {}
        self.lost: list[Lost] = []
        self.unseen: set[Stored] = set()
        """What the gateway cannot know of."""
        self._count = 0

    @property
    def epoch(self) -> str:
        """The name of the current epoch."""
        return f"life {self.lives}"

    def add(self, kind: str, slab: str) -> Stored:
        """Append the next event."""
        self.seq += 1
        self._count += 1
        events = self.of(channel_of(kind, slab).name)
        prev = events[-1].seq if events and events[-1].epoch == self.epoch else 0
        stored = Stored(self.epoch, self.seq, prev, make_event(kind, slab, self._count))
        events.append(stored)
        return stored

    def of(self, channel: str) -> list[Stored]:
        """Return all events of a channel."""
        return self.channels.setdefault(channel, [])

    def replace(self) -> None:
        """Delete the stream and create it again."""
        self.lives += 1
        self.seq = 0

    def record_gap(self, after: int, before: int) -> None:
        """Record that the gateway sees nothing between these two seqs."""
        self.lost.append(Lost(self.epoch, after, before))

    def last_seen(self, channel: str) -> int:
        """Return the index of the channel's newest event of this epoch that the gateway knows."""
        events = self.of(channel)
        return next(
            (
                i
                for i in reversed(range(len(events)))
                if events[i].epoch == self.epoch and events[i] not in self.unseen
            ),
            len(events),
        )

    def first_after(self, channel: str, seq: int) -> int:
        """Return the index of the channel's first event of this epoch after a seq."""
        events = self.of(channel)
        return next(
            (i for i, one in enumerate(events) if one.epoch == self.epoch and one.seq > seq),
            len(events),
        )


@dataclass
class Lossless:
    """What a client has of a trades or funding channel.

    It must get everything from `index` on, except what it `has` read elsewhere. A fresh client may
    get events from `earliest` on, as a snapshot or as recent events; the first that it gets
    determines where it begins.
    """

    stream: Stream
    channel: str
    epoch: str
    index: int
    earliest: int
    has: tuple[str, int] = ("", 0)
    gone: set[int] = field(default_factory=set)
    maybe_gone: set[int] = field(default_factory=set)
    """What a gap of all markets covers: of a market that is read by itself, it may come still."""
    unknown: bool = True
    """True if the next event's prev may be null: at the beginning, and after a gap."""
    excused: bool = False
    """True if a gap may come although the stream has everything: it was not fetched."""

    def take(self, message: Message) -> None:
        """Check the next message of the channel."""
        if message["type"] == "gap":
            self._take_gap(message)
        else:
            self._take_event(message)

    def take_gap_of_all(self, message: Message) -> bool:
        """Note a gap of all markets; return whether something of this one may be gone."""
        span = Lost(message.get("epoch", self.epoch), message["from"], message["to"])
        events = self.stream.of(self.channel)
        if span.epoch != self.epoch or message.get("epoch") is None:
            gone = {i for i in range(self.earliest, len(events)) if self._covers(span, events[i])}
        else:  # it has moved on to that stream before
            left = range(self.earliest, len(events))
            gone = {i for i in left if events[i].epoch != span.epoch or events[i].seq < span.before}
        known = bool(gone) or self.excused or "epoch" in message or self._is_lost(span)
        self.maybe_gone |= gone
        self.epoch, self.unknown = span.epoch, True
        return known

    def _is_lost(self, span: Lost) -> bool:
        return any(
            lost.epoch == span.epoch and lost.after < span.before and span.after < lost.before
            for lost in self.stream.lost
        )

    def _take_event(self, message: Message) -> None:
        events = self.stream.of(self.channel)
        named = (self.epoch, message["seq"])
        (at,) = [i for i, one in enumerate(events) if (one.epoch, one.seq) == named]
        assert at >= self.earliest, f"{message} came before, or is older than what was asked for"
        assert at not in self.gone, f"{message} was announced as gone"
        assert not self._is_had(events[at]), f"{message} was read elsewhere"
        self._miss_nothing_before(at)
        assert message["timestamp"] == events[at].event.timestamp
        assert message["prev"] in (events[at].prev, None)
        assert message["prev"] is not None or self.unknown, f"{message} hides what it follows"
        self.index = self.earliest = at + 1
        self.unknown = self.excused = False

    def _take_gap(self, message: Message) -> None:
        events = self.stream.of(self.channel)
        span = Lost(message.get("epoch", self.epoch), message["from"], message["to"])
        gone = {i for i in range(self.earliest, len(events)) if self._covers(span, events[i])}
        if message.get("epoch") == self.epoch:
            self.take_gap_of_all(message)  # one of all markets has told of that stream before
            return
        if span.epoch == self.epoch:
            assert span.after < span.before, f"{message} is no span"
            known = gone - self.gone or self._is_lost(span)
            assert known or self.excused, f"{message}: nothing is gone"
        self.gone |= gone
        self.epoch = span.epoch
        self.unknown = True

    def _covers(self, span: Lost, stored: Stored) -> bool:
        """Whether a gap covers an event; a gap into another epoch covers everything in between."""
        if stored.epoch == self.epoch and stored.seq <= span.after:
            return False
        return stored.epoch != span.epoch or stored.seq < span.before

    def _is_had(self, stored: Stored) -> bool:
        return stored.epoch == self.has[0] and stored.seq <= self.has[1]

    def _miss_nothing_before(self, end: int) -> None:
        events = self.stream.of(self.channel)
        missing = [
            events[i]
            for i in range(self.index, end)
            if i not in self.gone | self.maybe_gone and not self._is_had(events[i])
        ]
        assert not missing, f"{self.channel} lacks {missing}"

    def settle(self) -> None:
        """Check that no event is missing."""
        self._miss_nothing_before(len(self.stream.of(self.channel)))
        assert self.epoch == self.stream.epoch, "it was not told of the new stream"


@dataclass
class Latest:
    """What a client has of a price channel: ever newer prices, and the newest at the end."""

    stream: Stream
    channel: str
    index: int = -1

    def take(self, message: Message) -> None:
        """Check the next message of the channel."""
        events = self.stream.of(self.channel)
        (at,) = [i for i, one in enumerate(events) if one.event.timestamp == message["timestamp"]]
        assert message["seq"] == events[at].seq
        assert at > self.index, f"{message} comes again, or too late"
        assert not message.get("snapshot") or self.index == -1, "only the first is a snapshot"
        self.index = at

    def settle(self) -> None:
        """Check that the client has the newest price."""
        events = self.stream.of(self.channel)
        if events and events[-1].epoch == self.stream.epoch:
            assert self.index == len(events) - 1, f"{self.channel} lacks {events[-1]}"


class Client:
    """One client: receives what is written to it, and checks it per channel."""

    def __init__(self) -> None:
        self.follows: set[str] = set()
        self.reads: dict[str, Lossless | Latest] = {}
        """What it must get of each market's channel, by name or with all markets."""
        self.paused = False
        self.gone = False

    def take(self, data: bytes) -> None:
        """Check the written messages one by one."""
        assert not self.gone, "written to after it went"
        assert not self.paused, "written to while its buffer is full"
        for message in read_messages(data):
            channel = message.get("channel") or f"{CHANNELS[message['type']]}:{message['slab']}"
            if channel.endswith(":*"):
                assert channel in self.follows, f"{message} was not asked for"
                known = [each.take_gap_of_all(message) for each in self.lossless(channel)]
                by_name = any(name in self.follows for name in markets(channel))
                assert any(known) or by_name, f"{message}: nothing is gone"
            else:
                assert channel in self.reads, f"{message} was not asked for"
                self.reads[channel].take(message)

    def lossless(self, channel: str) -> list[Lossless]:
        """Return what it must get of a lossless channel, or of all of them if it is a wildcard."""
        return [self.reads[name] for name in markets(channel) if name in self.reads]  # type: ignore[misc]

    def subscribe(self, channel: str, stream: Stream, start: Start) -> None:
        """Follow a channel; what it reads already goes on unchanged."""
        if channel not in self.follows:
            self.follows.add(channel)
            for name in markets(channel):
                if name not in self.reads:
                    self.reads[name] = expectation(stream, name, start)

    def unsubscribe(self, channel: str) -> None:
        """Leave a channel; what it follows otherwise goes on unchanged."""
        self.follows.discard(channel)
        for name in markets(channel):
            if name not in self.follows and wildcard(name) not in self.follows:
                self.reads.pop(name, None)


def wildcard(channel: str) -> str:
    """Return the channel of the same kind that is of all markets."""
    return f"{channel.partition(':')[0]}:*"


def markets(channel: str) -> list[str]:
    """Return the channels of markets that a channel stands for: itself, or all of its kind."""
    if not channel.endswith(":*"):
        return [channel]
    return [name for name in ALL_CHANNELS if wildcard(name) == channel]


def refusal(clients: list[Client], client: Client, channel: str) -> str | None:
    """Return the code of the limit that one more channel would exceed, or None."""
    if channel in client.follows:
        return None
    slab = channel.partition(":")[2]
    slabs = {followed.partition(":")[2] for followed in client.follows}
    if slab not in slabs and len(slabs) >= PER_CLIENT:
        return "channel_limit"

    def on(one: Client) -> bool:
        return any(followed.endswith(f":{slab}") for followed in one.follows)

    full = sum(on(one) for one in clients) >= (WILDCARDS if slab == "*" else PER_SLAB)
    return "slab_limit" if full and not on(client) else None


def expectation(stream: Stream, channel: str, start: Start) -> Lossless | Latest:
    """Return what a client must get that subscribes to a channel now."""
    if channel.startswith("price"):
        return Latest(stream, channel)
    count = len(stream.of(channel))
    if start.since is None:
        earliest = max(count - start.recent, 0)
        if channel.startswith("funding") and not start.recent:
            earliest = stream.last_seen(channel)
        return Lossless(stream, channel, stream.epoch, count, earliest)
    if start.epoch == ANOTHER_LIFE:
        first = stream.first_after(channel, 0)
        return Lossless(stream, channel, ANOTHER_LIFE, first, first, excused=True)
    since = start.since if start.epoch else min(start.since, stream.seq)
    first = stream.first_after(channel, since)
    return Lossless(stream, channel, stream.epoch, first, first, has=(stream.epoch, since))
