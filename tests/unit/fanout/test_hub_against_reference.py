"""The hub against a naive one: whatever happens in whatever order, nobody is lied to.

Each step goes to both. Clients check every message as it comes (see `reference`); at the end all
that is owed must have arrived, and when all clients are gone, nothing of them may be left.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from percolator import protocol
from percolator.errors import RequestError
from percolator.events import KINDS, Kind, channel_of, parse_channel
from percolator.fanout.followers import Cursor
from percolator.fanout.history import History
from percolator.fanout.hub import Hub, Start
from percolator.fanout.limits import SlabLimits
from percolator.fanout.log import LatestLog, LosslessLog
from percolator.fanout.stats import Stats
from tests.unit.fanout.reference import (
    ANOTHER_LIFE,
    Client,
    Lossless,
    Stream,
    expectation,
    refusal,
)

SLABS = ("A", "B")
CHANNELS = tuple(channel_of(kind, slab) for kind in KINDS for slab in SLABS)
PER_SLAB, PER_CLIENT = 3, 5
MOST_CLIENTS = 4

which = st.integers(0, MOST_CLIENTS - 1)
kinds, slabs, channels = st.sampled_from(KINDS), st.sampled_from(SLABS), st.sampled_from(CHANNELS)
some = st.integers(1, 5)


Kept = Literal["all", "heads", "none"]
kept: st.SearchStrategy[Kept] = st.sampled_from(("all", "heads", "none"))


@contextmanager
def refused(code: str | None) -> Iterator[None]:
    """What is done here must be refused with this code, or not at all."""
    if code is None:
        yield
    else:
        with pytest.raises(RequestError) as error:
            yield
        assert error.value.code == code


class HubMachine(RuleBasedStateMachine):
    """A hub, the stream that it reads, and up to four clients."""

    capacity: ClassVar = 3
    turn_bytes: ClassVar = 300
    """Two or three messages."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.step = 0.0
        self.woken = False
        self.stream = Stream()
        self.limits = SlabLimits(per_slab=PER_SLAB, channels_per_client=PER_CLIENT)
        self.hub = Hub(
            clock=self.clock,
            wake=self.wake,
            stats=Stats(0.0),
            limits=self.limits,
            log_capacity=self.capacity,
            price_interval=0.5,
            turn_bytes=self.turn_bytes,
            turn_seconds=0.02,
        )
        self.clients: dict[Cursor, Client] = {}
        self.room: dict[Cursor, int] = {}

    def clock(self) -> float:
        """The time; it may go on whenever somebody looks."""
        self.now += self.step
        return self.now

    def wake(self) -> None:
        """There is something to flush."""
        self.woken = True

    def chosen(self, number: int) -> tuple[Cursor, Client] | None:
        """One of the clients, if there is any."""
        both = list(self.clients.items())
        return both[number % len(both)] if both else None

    # The stream.

    @initialize(before=st.integers(0, 6), kept=kept, slow=st.booleans())
    def begin(self, before: int, kept: Kept, *, slow: bool) -> None:
        """The first life; the stream may hold something already."""
        self.step = 1 / 32 if slow else 0.0
        self._begin(before, kept)

    @rule(before=st.integers(0, 6), kept=kept)
    def replace(self, before: int, kept: Kept) -> None:
        """The stream is deleted and made anew; some events are in it before it is read."""
        self.stream.replace()
        self._begin(before, kept)

    def _begin(self, before: int, kept: Kept) -> None:
        """So many events were in it before: all of them are kept, the heads, or none."""
        stream = self.stream
        heads = {}
        for number in range(before):
            kind, slab = KINDS[number % 3], SLABS[number % 2]
            if kept == "none" and kind == "price":
                stream.seq += 1  # what nobody can ever see is no newest price
            else:
                stored = stream.add(kind, slab)
                if kept != "all":
                    stream.unseen.add(stored)
                heads[kind, slab] = stored
        if kept != "all" and before:
            stream.lose(0, stream.seq + 1)
        first = stream.seq + 1 if kept == "none" else 1
        self.hub.begin(stream.epoch, stream.seq, first_seq=first, complete=kept == "all")
        for (kind, slab), head in heads.items() if kept != "none" else ():
            stream.unseen.discard(head)
            self.hub.seed(head.seq, kind, slab, head.event)

    @rule(kind=kinds, slab=slabs, count=some)
    def publish(self, kind: Kind, slab: str, count: int) -> None:
        """Events of one channel."""
        for _ in range(count):
            stored = self.stream.add(kind, slab)
            self.hub.publish(stored.seq, kind, slab, stored.event)

    @rule()
    def pass_over(self) -> None:
        """An event that does not validate."""
        self.stream.seq += 1
        self.hub.pass_over(self.stream.seq)

    @rule(kind=st.sampled_from(["trade", "funding"]), slab=slabs, count=some)
    def lose(self, kind: Kind, slab: str, count: int) -> None:
        """The stream drops events before they are read."""
        after = self.stream.seq
        for _ in range(count):
            self.stream.unseen.add(self.stream.add(kind, slab))
        self.stream.lose(after, self.stream.seq + 1)
        self.hub.lose(self.stream.seq + 1)

    # Clients.

    @precondition(lambda self: len(self.clients) < MOST_CLIENTS)
    @rule()
    def connect(self) -> None:
        """One more client."""
        client = Client()

        def write(data: bytes) -> None:
            client.take(data)
            self._fill(cursor)

        cursor = Cursor(write)
        self.clients[cursor] = client
        self.room[cursor] = 1_000_000

    def _fill(self, cursor: Cursor) -> None:
        """A write takes room; with the last of it the buffer is full, in the midst of the write."""
        self.room[cursor] -= 1
        if not self.room[cursor]:
            self._block(cursor)

    def _block(self, cursor: Cursor) -> None:
        self.clients[cursor].blocked = True
        self.hub.block(cursor)

    @rule(number=which, channel=channels)
    def subscribe(self, number: int, channel: str) -> None:
        """From now on."""
        self._subscribe(number, channel, Start())

    @rule(number=which, channel=channels, count=some)
    def subscribe_recent(self, number: int, channel: str, count: int) -> None:
        """With the last events."""
        self._subscribe(number, channel, Start(recent=count))

    @rule(
        number=which, channel=channels, back=st.integers(-2, 12), most=st.none() | st.integers(0, 4)
    )
    def resume(self, number: int, channel: str, back: int, most: int | None) -> None:
        """From where it left, some events ago; or ahead, where another gateway was quicker."""
        since = max(self.stream.seq - back, 0)
        self._subscribe(number, channel, Start(since, self.stream.epoch), most)

    @rule(number=which, channel=channels, since=st.integers(0, 30))
    def resume_without_epoch(self, number: int, channel: str, since: int) -> None:
        """A client that does not say which stream it read."""
        self._subscribe(number, channel, Start(since))

    @rule(number=which, channel=channels, since=st.integers(0, 30), most=st.none() | some)
    def resume_another_life(self, number: int, channel: str, since: int, most: int | None) -> None:
        """What it read is no more."""
        self._subscribe(number, channel, Start(since, ANOTHER_LIFE), most)

    def _subscribe(self, number: int, channel: str, start: Start, most: int | None = None) -> None:
        if (chosen := self.chosen(number)) is None:
            return
        cursor, client = chosen
        code = refusal(list(self.clients.values()), client, channel, PER_SLAB, PER_CLIENT)
        expected = expectation(self.stream, channel, start)
        with refused(code):
            self.hub.subscribe(cursor, channel, start, most)
        if code is None:
            client.follows.setdefault(channel, expected)

    @rule(number=which, channel=channels)
    def unsubscribe(self, number: int, channel: str) -> None:
        """No more of one channel."""
        if (chosen := self.chosen(number)) is None:
            return
        cursor, client = chosen
        with refused(None if channel in client.follows else "not_subscribed"):
            self.hub.unsubscribe(cursor, channel)
        client.follows.pop(channel, None)

    @rule(number=which)
    def block(self, number: int) -> None:
        """A client's buffer is full."""
        if (chosen := self.chosen(number)) is not None:
            self._block(chosen[0])

    @rule(number=which, room=st.integers(1, 3))
    def drain(self, number: int, room: int) -> None:
        """It has room again, for a few writes."""
        if (chosen := self.chosen(number)) is not None:
            self._drain(chosen[0], room)

    def _drain(self, cursor: Cursor, room: int) -> None:
        self.room[cursor] = room
        self.clients[cursor].blocked = False
        self.hub.drained(cursor)

    @rule(number=which)
    def remove(self, number: int) -> None:
        """A client goes, with or without a word."""
        if (chosen := self.chosen(number)) is not None:
            self._remove(chosen[0])

    def _remove(self, cursor: Cursor) -> None:
        self.hub.remove(cursor)
        self.clients.pop(cursor).gone = True

    # Deep history.

    @rule(number=which, count=some)
    def backfill(self, number: int, count: int) -> None:
        """Somebody fetches what a held client lacks, a page at a time."""
        if (chosen := self.chosen(number)) is None:
            return
        cursor, _ = chosen
        for log, history in cursor.held.items():
            self._page(log.channel, history, count)
        self.hub.supply(cursor)

    def _page(self, channel: str, history: History, count: int) -> None:
        """The next events that the stream still has, over a gap where it has dropped some."""
        events = self.stream.of(channel)
        first = self.stream.first_after(channel, history.covered)
        page = events[first : first + count]
        for before, stored in zip([None, *page], page, strict=False):
            if stored in self.stream.unseen:
                continue
            if before in self.stream.unseen:
                gap = protocol.gap(channel, history.covered, stored.seq)
                history.add(history.covered, gap)
            history.add(stored.seq, protocol.event_message(stored.event, stored.seq, stored.prev))
            history.covered = stored.seq
        if len(page) < count and not (page and page[-1] in self.stream.unseen):
            history.covered = max(history.covered, self.hub.seq)

    @rule(number=which)
    def release(self, number: int) -> None:
        """Nobody fetches anything more for a held client."""
        if (chosen := self.chosen(number)) is not None:
            self._release(chosen[0])

    def _release(self, cursor: Cursor) -> None:
        for log in cursor.held:
            followed = self.clients[cursor].follows[log.channel]
            assert isinstance(followed, Lossless)
            followed.excused = True
            self.hub.release(cursor, log)

    # Time.

    @rule()
    def flush(self) -> None:
        """One turn."""
        self.woken = self.hub.flush()

    @rule(sixteenths=st.integers(1, 16))
    def wait(self, sixteenths: int) -> None:
        """Time goes by."""
        self.now += sixteenths / 16

    @rule()
    def settle(self) -> None:
        """All that is owed arrives, once everybody reads and all windows have ended."""
        for cursor in self.clients:
            self._drain(cursor, 1_000_000)
            self._release(cursor)
        for _ in range(3):
            self.now += 1.0
            turns = 0
            while self.hub.flush():
                turns += 1
                assert turns < 1_000, "it never ends"
        for client in self.clients.values():
            for followed in client.follows.values():
                followed.settle()
        assert self.hub.behind == 0

    # What holds always.

    @invariant()
    def counts_are_right(self) -> None:
        """As one would count by hand."""
        assert self.hub.behind == sum(client.blocked for client in self.clients.values())
        on = [
            {channel.partition(":")[2] for channel in client.follows}
            for client in self.clients.values()
        ]
        counted = {slab: sum(slab in one for one in on) for slab in SLABS}
        assert self.limits.clients == {slab: count for slab, count in counted.items() if count}

    @invariant()
    def groups_are_whole(self) -> None:
        """Nobody is in two places, and there is no group of nobody."""
        for key, group in self.hub._groups.items():
            assert group.members
            assert key == frozenset(group.positions)
            for cursor in group.members:
                assert cursor.group is group
                assert cursor.positions is group.positions
                assert not cursor.blocked
        for cursor, client in self.clients.items():
            followed = {log.channel for log in (*cursor.positions, *cursor.held)}
            assert followed == set(client.follows)
            for channel in followed:
                named = parse_channel(channel)
                assert named is not None
                followers = self.hub.logs[named].followers
                assert cursor in followers or cursor.group in followers

    @invariant()
    def whoever_is_owed_something_will_get_it(self) -> None:
        """The hub has asked for a flush wherever one is needed."""
        waiting = bool(self.hub._queue or self.hub._dirty)
        assert self.woken or not waiting
        for log in self.hub.logs.values():
            if isinstance(log, LatestLog) and log.followers and log.shown is not log.latest:
                assert self.hub.due is not None

    def teardown(self) -> None:
        """Everything arrives; everybody goes; nothing is left of them."""
        self.settle()
        for cursor in list(self.clients):
            self._remove(cursor)
        while self.hub.flush():
            pass
        assert self.limits.clients == {}
        assert self.hub.behind == 0
        assert self.hub._groups == {}
        assert not self.hub._queue
        for log in self.hub.logs.values():
            assert not log.followers
            if isinstance(log, LosslessLog):
                assert len(log._entries) <= self.capacity


TestHub = HubMachine.TestCase
TestHub.settings = settings(stateful_step_count=40)
