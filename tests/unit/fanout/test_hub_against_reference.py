"""The hub against a naive one: in any order of events, every client gets the truth.

Each step is applied to both. Clients check every message on arrival (see `reference`); at the end
everything due must have arrived, and when all clients have disconnected, nothing of them may be
left.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percolator.errors import RequestError
from percolator.fanout.book import Book
from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.latest_log import LatestLog
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.reader import Start
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.fanout.slab_limits import SlabLimits
from percolator.model import messages
from percolator.model.channel import Channel
from percolator.stats import Stats
from tests.channels import channel as channel_named
from tests.channels import channel_of
from tests.unit.fanout.harness import Writer
from tests.unit.fanout.reference import (
    ALL_CHANNELS,
    ANOTHER_LIFE,
    NAMED,
    PER_CLIENT,
    PER_SLAB,
    WILDCARDS,
    Client,
    Lossless,
    Stream,
    markets,
    refusal,
)

CHANNELS = (*ALL_CHANNELS, "trades:*", "funding:*", "price:*")
MOST_CLIENTS = 4
CAPACITY = 3
TURN_BYTES = 300
"""Two or three messages."""

Kept = Literal["all", "heads", "none"]
"""What a stream still has of what it took before it is read."""
Origin = Literal["fresh", "here", "unnamed", "elsewhere"]
"""Where a client comes from: which stream its seq is of."""


@contextmanager
def refused(code: str | None) -> Iterator[None]:
    """Expect the block to be refused with this code, or not at all."""
    if code is None:
        yield
    else:
        with pytest.raises(RequestError) as error:
            yield
        assert error.value.code == code


class Walk:
    """A hub, the stream that it reads, up to four clients, and the possible steps."""

    def __init__(self, *, slow: bool) -> None:
        self.now = 0.0
        self.step = 1 / 32 if slow else 1 / 4096
        self.woken = False
        self.stream = Stream()
        self.limits = SlabLimits(
            per_slab=PER_SLAB, wildcards=WILDCARDS, channels_per_client=PER_CLIENT
        )
        self.book = Book(clock=self.clock, wake=self.wake, log_capacity=CAPACITY)
        self.hub = Hub(
            self.book,
            clock=self.clock,
            wake=self.wake,
            stats=Stats(0.0),
            limits=self.limits,
            turn_bytes=TURN_BYTES,
            turn_seconds=0.02,
        )
        self.clients: dict[Cursor, Client] = {}
        self.room: dict[Cursor, int] = {}

    def clock(self) -> float:
        """Advance the time with every call, so that every flush ends."""
        self.now += self.step
        return self.now

    def wake(self) -> None:
        """Record that there is something to flush."""
        self.woken = True

    def chosen(self, number: int) -> tuple[Cursor, Client]:
        """Return one of the clients."""
        return list(self.clients.items())[number % len(self.clients)]

    # The stream.

    def calamity(self, before: int, kept: Kept, lost: int) -> None:
        """Drop some events before they are read; or delete the stream and create it again."""
        stream = self.stream
        if lost < 0:
            stream.replace()
            self.begin(before, kept)
            return
        after = stream.seq
        for number in range(before + 1):
            kind, slab = NAMED[(number + lost) % 2]
            stream.unseen.add(stream.add(kind, slab))
        stream.record_gap(after, stream.seq + 1)
        self.book.record_gap(stream.seq + 1)

    def begin(self, before: int, kept: Kept) -> None:
        """Begin with `before` events in the stream, of which all, the last or none are kept."""
        stream = self.stream
        heads = {}
        for number in range(before):
            kind, slab = NAMED[number % len(NAMED)]
            if kept == "none" and kind == "price":
                stream.seq += 1  # no client can ever see this price
            else:
                stored = stream.add(kind, slab)
                if kept != "all":
                    stream.unseen.add(stored)
                heads[kind, slab] = stored
        if kept != "all" and before:
            stream.record_gap(0, stream.seq + 1)
        first = stream.seq + 1 if kept == "none" else 1
        self.book.begin(stream.epoch, stream.seq, first_seq=first, complete=kept == "all")
        for (kind, slab), head in heads.items() if kept != "none" else ():
            stream.unseen.discard(head)
            event = head.event
            self.book.seed(head.seq, channel_of(kind, slab), event, event.timestamp)

    def trade(self, count: int) -> None:
        """Publish trades of one market, the most frequent step."""
        self.publish(("trade", "A"), count, 0)

    def publish(self, named: tuple[str, str], count: int, passed: int) -> None:
        """Publish events of one channel, after some that are invalid."""
        for _ in range(passed):
            self.stream.seq += 1
            self.book.skip(self.stream.seq)
        for _ in range(count):
            stored = self.stream.add(*named)
            event = stored.event
            self.book.publish(stored.seq, channel_of(*named), event, event.timestamp)

    # Clients.

    def come(self) -> None:
        """Connect one more client, unless there are enough."""
        if len(self.clients) == MOST_CLIENTS:
            return
        client = Client()

        def write(data: bytes) -> None:
            client.take(data)
            self._fill(cursor)

        cursor = Cursor(Writer(write))
        self.clients[cursor] = client
        self.room[cursor] = 1_000_000

    def _fill(self, cursor: Cursor) -> None:
        """Use up room; the last write fills the buffer, and pauses the client within the write."""
        self.room[cursor] -= 1
        if not self.room[cursor]:
            self._block(cursor)

    def _block(self, cursor: Cursor) -> None:
        self.clients[cursor].paused = True
        self.hub.pause(cursor)

    def subscribe(
        self, number: int, channel: str, origin: Origin, back: int, limit: int | None
    ) -> None:
        """Subscribe from now on with some recent events, or from a seq some events ago or ahead.

        A client is ahead if it has read from another, faster gateway; the seq may also be of
        another epoch of the stream, or of an unknown one.
        """
        since = max(self.stream.seq - back, 0)
        start = {
            "fresh": Start(recent=max(back, 0)),
            "here": Start(since, self.stream.epoch),
            "unnamed": Start(since),
            "elsewhere": Start(since, ANOTHER_LIFE),
        }[origin]
        cursor, client = self.chosen(number)
        code = refusal(list(self.clients.values()), client, channel)
        if code is None:
            client.subscribe(channel, self.stream, start)
        with refused(code):
            self.hub.subscribe(cursor, channel_named(channel), start, limit)

    def unsubscribe(self, number: int, channel: str) -> None:
        """Unsubscribe from one channel."""
        cursor, client = self.chosen(number)
        with refused(None if channel in client.follows else "not_subscribed"):
            self.hub.unsubscribe(cursor, channel_named(channel))
        client.unsubscribe(channel)

    def block(self, number: int) -> None:
        """Fill a client's buffer."""
        self._block(self.chosen(number)[0])

    def drain(self, number: int, room: int) -> None:
        """Drain the buffer, and make room for a few writes."""
        self._drain(self.chosen(number)[0], room)

    def _drain(self, cursor: Cursor, room: int) -> None:
        self.room[cursor] = room
        self.clients[cursor].paused = False
        self.hub.resume(cursor)

    def go(self, number: int) -> None:
        """Disconnect a client, unless it is the last."""
        if len(self.clients) > 1:
            self._remove(self.chosen(number)[0])

    def _remove(self, cursor: Cursor) -> None:
        self.hub.remove(cursor)
        self.clients.pop(cursor).gone = True

    # Deep history.

    def replayer(self, number: int, count: int) -> None:
        """Fetch a page of what a client lacks; or give up on it, if `count` is 0."""
        cursor, _ = self.chosen(number)
        for log, buffer in cursor.replaying.items():
            self._page(log.channel.name, buffer, count, cursor.apart)
        self.hub.notify_replay(cursor)
        if not count:
            self._release(cursor)

    def _page(
        self, channel: str, buffer: ReplayBuffer, count: int, apart: AbstractSet[Channel]
    ) -> None:
        """Add the next events that the stream still has, and a gap if it has dropped some."""
        stream = self.stream
        events = [
            stored
            for name in markets(channel)
            for stored in stream.of(name)[stream.first_after(name, buffer.fetched_through) :]
        ]
        page = sorted(events, key=lambda stored: stored.seq)[:count]
        for before, stored in zip([None, *page], page, strict=False):
            if stored in self.stream.unseen:
                continue
            if before in self.stream.unseen:
                gap = messages.gap(buffer.log.channel, buffer.fetched_through, stored.seq)
                buffer.add(buffer.fetched_through, gap)
            event = stored.event
            own = Channel(event.kind, event.slab)
            if own not in apart or own.name == channel:
                buffer.add(stored.seq, messages.event_message(event, stored.seq, stored.prev))
            buffer.fetched_through = stored.seq
        if len(page) < count and not (page and page[-1] in self.stream.unseen):
            buffer.fetched_through = max(buffer.fetched_through, self.book.seq)

    def _release(self, cursor: Cursor) -> None:
        for log, buffer in cursor.replaying.items():
            for followed in self.clients[cursor].lossless(log.channel.name):
                followed.excused = True
            self.hub.finish_replay(cursor, buffer)

    # Time.

    def flush(self, sixteenths: int, turns: int) -> None:
        """Flush some turns, after some time."""
        self.now += sixteenths / 16
        for _ in range(turns):
            self.woken = self.hub.flush()

    def settle(self) -> None:
        """Check that everything due arrives once all clients read and all windows have ended."""
        for cursor in self.clients:
            self._drain(cursor, 1_000_000)
            self._release(cursor)
        for _ in range(3):
            self.now += 1.0
            turns = 0
            while self.hub.flush():
                turns += 1
                assert turns < 1_000, "it never ends"
        self.woken = False
        for client in self.clients.values():
            for read in client.reads.values():
                read.settle()
        assert self.hub.paused == 0

    # What holds always.

    def counts_are_right(self) -> None:
        """Compare the counts with a naive count."""
        assert self.hub.paused == sum(client.paused for client in self.clients.values())
        on = [
            {channel.partition(":")[2] for channel in client.follows}
            for client in self.clients.values()
        ]
        counted = {slab: sum(slab in one for one in on) for slab in "AB*"}
        assert self.limits.clients == {slab: count for slab, count in counted.items() if count}

    def groups_are_whole(self) -> None:
        """Check that each client is in one place only, and that no group is empty."""
        for key, group in self.hub._groups.items():
            assert group.members
            assert key == frozenset(group.positions)
            for cursor in group.members:
                assert cursor.group is group
                assert cursor.positions is group.positions
                assert not cursor.paused
        for cursor, client in self.clients.items():
            assert {channel.name for channel in cursor.channels} == client.follows
            read = (*cursor.positions, *cursor.replaying)
            assert {channel for log in read for channel in markets(log.channel.name)} == set(
                client.reads
            )
            for log in read:
                assert (cursor in log.followers) == (cursor.group is None)
                assert cursor.group is None or cursor.group in log.followers

    def whoever_is_owed_something_will_get_it(self) -> None:
        """Check that the hub has requested a flush if one is needed."""
        waiting = bool(self.hub._turns or self.book._dirty)
        assert self.woken or not waiting
        for log in self.book.logs.values():
            if isinstance(log, LatestLog) and log.shown is not log.latest:
                followed = log.followers or log.of_all.followers
                assert self.book.due is not None or not followed

    def a_client_that_has_everything_lacks_nothing(self) -> None:
        """Check that a client to which the hub owes nothing could resume from the book's seq."""
        for cursor, client in self.clients.items():
            if self.hub.has_everything(cursor):
                for followed in client.reads.values():
                    if isinstance(followed, Lossless):
                        followed.settle()

    def check(self) -> None:
        """Check all invariants."""
        self.a_client_that_has_everything_lacks_nothing()
        self.counts_are_right()
        self.groups_are_whole()
        self.whoever_is_owed_something_will_get_it()

    def finish(self) -> None:
        """Check that everything arrives, and that nothing is left when all clients have gone."""
        self.settle()
        for cursor in list(self.clients):
            self._remove(cursor)
        while self.hub.flush():
            pass
        assert self.limits.clients == {}
        assert self.hub.paused == 0
        assert self.hub._groups == {}
        assert not self.hub._turns
        for log in self.book.all_logs():
            assert not log.followers
        for log in self.book.logs.values():
            if isinstance(log, LosslessLog):
                assert len(log._entries) <= CAPACITY


Step = tuple[str, dict[str, Any]]


def step(name: str, **arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    """Generate a step: the name of a method of `Walk`, and its arguments."""
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


which = st.integers(0, MOST_CLIENTS - 1)
channels = st.sampled_from(CHANNELS)
some = st.integers(1, 5)
before = st.integers(0, 6)
kept: st.SearchStrategy[Kept] = st.sampled_from(("all", "heads", "none"))
origins: st.SearchStrategy[Origin] = st.sampled_from(
    ("fresh", "here", "here", "unnamed", "elsewhere")
)
OFTEN: dict[st.SearchStrategy[Step], int] = {
    step("trade", count=some): 6,
    step("flush", sixteenths=st.integers(0, 16), turns=st.integers(1, 3)): 6,
    step(
        "subscribe",
        number=which,
        channel=channels,
        origin=origins,
        back=st.integers(-4, 20),
        limit=st.none() | some,
    ): 6,
    step("publish", named=st.sampled_from(NAMED), count=some, passed=st.integers(0, 2)): 3,
    step("drain", number=which, room=st.integers(1, 12)): 3,
    step("replayer", number=which, count=st.integers(0, 5)): 4,
    step("come"): 2,
    step("unsubscribe", number=which, channel=channels): 1,
    step("block", number=which): 1,
    step("go", number=which): 1,
    step("calamity", before=before, kept=kept, lost=st.integers(-1, 3)): 1,
}
"""What happens, and how often beside the rest."""
steps = st.sampled_from([one for one, often in OFTEN.items() for _ in range(often)]).flatmap(
    lambda chosen: chosen
)


@settings(max_examples=settings().max_examples * 2)
@given(
    before=before,
    kept=kept,
    slow=st.booleans(),
    followed=st.lists(st.sets(channels), min_size=1, max_size=3),
    steps=st.lists(steps, min_size=30, max_size=80),
)
def test_the_hub_behaves_like_a_naive_one(
    before: int, kept: Kept, followed: list[set[str]], steps: list[Step], *, slow: bool
) -> None:
    """In all steps; see the checks of `Walk`, and those of the clients in `reference`."""
    walk = Walk(slow=slow)
    walk.begin(before, kept)
    for number, named in enumerate(followed):
        walk.come()
        for channel in sorted(named):
            walk.subscribe(number, channel, "fresh", 0, None)
    for name, arguments in steps:
        getattr(walk, name)(**arguments)
        walk.check()
    walk.finish()
