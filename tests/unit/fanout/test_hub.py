"""The hub: who gets what, in how many writes, and what is left when everybody has gone."""

from collections.abc import Callable

import pytest

from percolator import protocol
from percolator.errors import RequestError
from percolator.events import Kind
from percolator.fanout import hub as hub_module
from percolator.fanout.followers import Cursor
from percolator.fanout.history import History
from percolator.fanout.hub import Hub, Resumed, Start
from percolator.fanout.limits import SlabLimits
from percolator.fanout.log import LosslessLog
from percolator.fanout.stats import Stats
from tests.unit.fanout.reference import make_event
from tests.unit.wire import Message, messages


class Client:
    """A client: the writes that it got, each a list of messages, and room for some of them."""

    def __init__(self, hub: Hub) -> None:
        self.writes: list[list[Message]] = []
        self.cursor = Cursor(self._write)
        self.room = 1_000_000
        self._hub = hub

    def _write(self, data: bytes) -> None:
        self.writes.append(messages(data))
        self.room -= 1
        if self.room == 0:
            self._hub.block(self.cursor)

    @property
    def got(self) -> list[Message]:
        """All messages since it was last asked."""
        got = [message for write in self.writes for message in write]
        self.writes.clear()
        return got

    @property
    def seqs(self) -> list[int | str]:
        """The seqs of all messages since it was last asked; "gap" for a gap."""
        return [message["seq"] if "seq" in message else message["type"] for message in self.got]


class Hall:
    """A hub with a clock that is a number, a stream that is whole, and clients."""

    def __init__(
        self, *, capacity: int = 5, turn_bytes: int = 32_768, per_slab: int = 0, channels: int = 0
    ) -> None:
        self.now = 10.0
        self.step = 0.0
        self.calls = 0
        self.stats = Stats(0.0)
        self.limits = SlabLimits(per_slab=per_slab, channels_per_client=channels)
        self.hub = Hub(
            clock=self._clock,
            wake=self._wake,
            stats=self.stats,
            limits=self.limits,
            log_capacity=capacity,
            price_interval=0.5,
            turn_bytes=turn_bytes,
            turn_seconds=0.02,
        )
        self.hub.begin("e", 0, first_seq=1, complete=True)

    def _clock(self) -> float:
        self.now += self.step
        return self.now

    def _wake(self) -> None:
        self.calls += 1

    def client(self, *channels: str, start: Start | None = None) -> Client:
        """A client that follows some channels and has got what it was owed for coming."""
        client = Client(self.hub)
        for channel in channels:
            self.hub.subscribe(client.cursor, channel, start or Start())
        self.flush()
        return client

    def publish(self, *seqs: int, kind: Kind = "trade", slab: str = "SOL") -> None:
        """Events with these seqs."""
        for seq in seqs:
            self.hub.publish(seq, kind, slab, make_event(kind, slab, seq))

    def flush(self) -> int:
        """Flush until nothing is left; give the number of turns."""
        turns = 1
        while self.hub.flush():
            turns += 1
            assert turns < 1_000
        return turns

    def resume(self, client: Client, since: int, *, most: int | None = None) -> Resumed:
        """Resume the trades of SOL in the stream that is read."""
        return self.hub.subscribe(client.cursor, "trades:SOL", Start(since, "e"), most)

    def log(self, channel: str = "trades:SOL") -> LosslessLog:
        """The log of a channel."""
        (log,) = [one for one in self.hub.logs.values() if one.channel == channel]
        assert isinstance(log, LosslessLog)
        return log


@pytest.fixture
def hall() -> Hall:
    """One without limits."""
    return Hall()


# What goes out.


def test_events_go_to_those_who_follow_their_channel(hall: Hall) -> None:
    """And to nobody else."""
    sol, btc, both = (
        hall.client("trades:SOL"),
        hall.client("trades:BTC"),
        hall.client("trades:SOL", "trades:BTC"),
    )
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.publish(3, kind="funding")
    hall.flush()
    assert (sol.seqs, btc.seqs, both.seqs) == ([1], [2], [1, 2])


def test_what_happens_between_two_flushes_goes_out_in_one_write(hall: Hall) -> None:
    """In the order in which it happened, over all channels."""
    client = hall.client("trades:SOL", "funding:SOL", "price:SOL")
    hall.publish(1)
    hall.publish(2, kind="funding")
    hall.publish(3, kind="price")
    hall.publish(4)
    hall.flush()
    assert len(client.writes) == 1
    assert client.seqs == [1, 2, 3, 4]


def test_clients_with_the_same_channels_share_the_work(hall: Hall) -> None:
    """Whatever the order in which they named them; all is counted for each of them."""
    clients = [hall.client("trades:SOL", "price:SOL"), hall.client("price:SOL", "trades:SOL")]
    assert len(hall.hub._groups) == 1
    before = hall.stats.messages_sent
    hall.publish(1, 2, 3)
    hall.flush()
    assert [client.seqs for client in clients] == [[1, 2, 3], [1, 2, 3]]
    assert hall.stats.messages_sent - before == 6


def test_a_flush_is_asked_for_once(hall: Hall) -> None:
    """However much happens until it comes; and not where nobody is owed anything."""
    hall.client("trades:SOL")
    hall.calls = 0
    hall.publish(1, 2, 3)
    assert hall.calls == 1
    hall.flush()
    hall.publish(4, slab="BTC")
    assert hall.calls == 1


def test_a_price_is_sent_at_once_and_then_once_a_window(hall: Hall) -> None:
    """The last of them at its end."""
    client = hall.client("price:SOL")
    for seq in range(1, 11):
        hall.publish(seq, kind="price")
        hall.flush()
        hall.now += 0.0625
    assert client.seqs == [1, 9]
    hall.now = 11.0
    hall.flush()
    assert client.seqs == [10]
    hall.now = 11.5
    hall.flush()
    assert client.seqs == []
    assert hall.hub.due is None


# Coming.


def test_the_last_price_and_rate_come_as_snapshots(hall: Hall) -> None:
    """In the order in which they were; a trade is no state."""
    hall.publish(1, kind="funding")
    hall.publish(2, kind="price")
    hall.publish(3)
    got = hall.client("price:SOL", "trades:SOL", "funding:SOL").got
    assert [(one["seq"], one.get("snapshot")) for one in got] == [(1, True), (2, True)]


@pytest.mark.parametrize("kind", ["trade", "funding"])
def test_what_happens_before_the_first_flush_is_not_skipped(hall: Hall, kind: Kind) -> None:
    """The client has been told that it is subscribed, and relies on that."""
    hall.publish(1, kind=kind)
    client = Client(hall.hub)
    hall.hub.subscribe(client.cursor, "trades:SOL", Start())
    hall.hub.subscribe(client.cursor, "funding:SOL", Start())
    hall.publish(2, 3, kind=kind)
    hall.flush()
    assert client.seqs == ([2, 3] if kind == "trade" else [1, 2, 3])


def test_recent_events_come_first(hall: Hall) -> None:
    """As many as were asked for; a price has none, and comes as a snapshot."""
    hall.publish(1, 2, 3)
    hall.publish(4, 5, kind="funding")
    hall.publish(6, kind="price")
    client = hall.client("trades:SOL", "funding:SOL", "price:SOL", start=Start(recent=2))
    assert client.seqs == [2, 3, 4, 5, 6]


def test_a_channel_that_is_followed_already_goes_on_as_it_is(hall: Hall) -> None:
    """Asking twice changes nothing and counts nothing, whatever is asked for."""
    hall.publish(1, 2)
    client = hall.client("trades:SOL")
    assert hall.resume(client, since=0) == Resumed()
    hall.flush()
    assert client.seqs == []
    assert client.cursor.slabs == {"SOL": 1}


def test_a_new_channel_does_not_disturb_the_others(hall: Hall) -> None:
    """Nothing lost and nothing doubled of what was followed before."""
    client = hall.client("trades:SOL")
    hall.publish(1)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.publish(2, slab="BTC")
    hall.flush()
    assert client.seqs == [1, 2]


@pytest.mark.parametrize(
    ("limits", "code"), [({"per_slab": 1}, "slab_limit"), ({"channels": 1}, "channel_limit")]
)
def test_where_a_limit_is_met_nothing_has_changed(limits: dict[str, int], code: str) -> None:
    """Neither a log nor a follower nor a count."""
    hall = Hall(**limits)
    hall.client("trades:SOL")
    client = hall.client("trades:BTC")
    with pytest.raises(RequestError) as refused:
        hall.hub.subscribe(client.cursor, "funding:SOL", Start())
    assert (refused.value.code, refused.value.channel) == (code, "funding:SOL")
    assert ("funding", "SOL") not in hall.hub.logs
    assert client.cursor.slabs == {"BTC": 1}
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.flush()
    assert client.seqs == [2]


# Going.


def test_an_unsubscribed_channel_sends_nothing_more(hall: Hall) -> None:
    """Not even what was owed already; the others go on."""
    client = hall.client("trades:SOL", "trades:BTC")
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    hall.flush()
    hall.publish(3)
    hall.flush()
    assert client.seqs == [2]


@pytest.mark.parametrize("channel", ["trades:SOL", "trades:BTC", "nonsense"])
def test_a_channel_that_is_not_followed_cannot_be_unsubscribed(hall: Hall, channel: str) -> None:
    """Whether somebody else follows it, nobody, or it is none."""
    hall.client("trades:SOL")
    with pytest.raises(RequestError) as refused:
        hall.hub.unsubscribe(Client(hall.hub).cursor, channel)
    assert (refused.value.code, refused.value.channel) == ("not_subscribed", channel)


def test_a_client_that_has_gone_is_not_written_to(hall: Hall) -> None:
    """Nor is anything kept of it: no count, no group, no log that held nothing."""
    client = hall.client("trades:SOL", "price:SOL", "funding:BTC")
    hall.publish(1)
    hall.hub.remove(client.cursor)
    hall.flush()
    assert client.got == []
    assert hall.limits.clients == {}
    assert hall.hub._groups == {}
    assert list(hall.hub.logs) == [("trade", "SOL")]
    assert not hall.log().followers


def test_a_client_that_goes_twice_has_gone_once(hall: Hall) -> None:
    """Whatever the ways out were."""
    client = hall.client("trades:SOL")
    hall.hub.block(client.cursor)
    hall.hub.remove(client.cursor)
    hall.hub.remove(client.cursor)
    assert (hall.hub.behind, hall.limits.clients) == (0, {})


def test_others_stay_in_the_group_that_one_leaves(hall: Hall) -> None:
    """And get what they are owed."""
    first, second = hall.client("trades:SOL"), hall.client("trades:SOL")
    hall.publish(1)
    hall.hub.remove(first.cursor)
    hall.flush()
    assert (first.seqs, second.seqs) == ([], [1])


# Slow clients.


def test_a_blocked_client_is_owed_and_not_written_to(hall: Hall) -> None:
    """It catches up by itself: all trades, and only the latest price."""
    client, other = hall.client("trades:SOL", "price:SOL"), hall.client("trades:SOL", "price:SOL")
    hall.hub.block(client.cursor)
    hall.hub.block(client.cursor)
    assert hall.hub.behind == 1
    for seq in (1, 2, 3):
        hall.publish(seq)
        hall.publish(seq + 10, kind="price")
        hall.flush()
        hall.now += 1.0
    assert client.got == []
    hall.hub.drained(client.cursor)
    hall.hub.drained(client.cursor)
    assert hall.hub.behind == 0
    hall.flush()
    assert client.seqs == [1, 2, 3, 13]
    assert other.seqs == [1, 11, 2, 12, 3, 13]
    assert len(hall.hub._groups) == 1


def test_what_memory_no_longer_holds_is_announced(hall: Hall) -> None:
    """A slow client is never lied to; the gap is counted."""
    client = hall.client("trades:SOL")
    hall.hub.block(client.cursor)
    hall.publish(*range(1, 10))
    hall.hub.drained(client.cursor)
    hall.flush()
    got = client.got
    assert (got[0]["type"], got[0]["from"], got[0]["to"]) == ("gap", 0, 5)
    assert [one["seq"] for one in got[1:]] == [5, 6, 7, 8, 9]
    assert hall.stats.gaps == 1


def test_a_client_may_be_blocked_by_the_very_write(hall: Hall) -> None:
    """What was written is not sent again; the others of its group get all of theirs."""
    client, other = hall.client("trades:SOL"), hall.client("trades:SOL")
    client.room = 1
    hall.publish(1)
    hall.flush()
    hall.publish(2)
    hall.flush()
    assert (client.seqs, other.seqs) == ([1], [1, 2])
    hall.hub.drained(client.cursor)
    hall.flush()
    assert client.seqs == [2]


def test_a_client_that_is_blocked_while_it_catches_up_goes_on_later() -> None:
    """From where it stands, however often that happens."""
    hall = Hall(turn_bytes=1, capacity=100)
    client = hall.client("trades:SOL")
    hall.hub.block(client.cursor)
    hall.publish(*range(1, 7))
    seqs = []
    for _ in range(6):
        client.room = 1
        hall.hub.drained(client.cursor)
        hall.flush()
        seqs.append(client.seqs)
    assert seqs == [[1], [2], [3], [4], [5], [6]]


def test_a_blocked_client_may_change_its_channels(hall: Hall) -> None:
    """It gets what they owe when it has drained."""
    client = hall.client("trades:SOL")
    hall.hub.block(client.cursor)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.flush()
    assert client.got == []
    hall.hub.drained(client.cursor)
    hall.flush()
    assert client.seqs == [2]


# Turns.


def test_one_write_is_bounded() -> None:
    """What is more waits for the next turn, and is in order all the same."""
    hall = Hall(turn_bytes=250, capacity=100)
    client, group = hall.client("trades:SOL", "funding:SOL"), hall.client("trades:SOL")
    hall.client("trades:SOL")
    for seq in range(1, 20, 2):
        hall.publish(seq)
        hall.publish(seq + 1, kind="funding")
    hall.flush()
    assert {len(write) for write in client.writes} == {2}
    assert client.seqs == list(range(1, 21))
    assert group.seqs == list(range(1, 20, 2))


def test_one_turn_of_a_large_group_is_bounded_in_all(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one storm does not hold up everybody else."""
    monkeypatch.setattr(hub_module, "TURN_BYTES", 400)
    clients = [hall.client("trades:SOL") for _ in range(3)]
    hall.publish(1, 2, 3)
    hall.flush()
    assert [[len(write) for write in client.writes] for client in clients] == [[1, 1, 1]] * 3


def test_a_flush_stops_when_its_time_is_up(hall: Hall) -> None:
    """It says that something is left, and the next goes on with it."""
    clients = [hall.client(f"trades:{slab}") for slab in "ABC"]
    for seq, slab in enumerate("ABC", start=1):
        hall.publish(seq, slab=slab)
    hall.step = 0.05
    assert [hall.hub.flush(), hall.hub.flush(), hall.hub.flush()] == [True, True, False]
    assert [client.seqs for client in clients] == [[1], [2], [3]]


def test_a_group_that_everybody_left_while_it_waited_is_passed_over(hall: Hall) -> None:
    """Its turn comes all the same."""
    first, second = hall.client("trades:A"), hall.client("trades:B")
    hall.publish(1, slab="A")
    hall.publish(2, slab="B")
    hall.step = 0.05
    assert hall.hub.flush()
    hall.hub.remove(second.cursor)
    assert not hall.hub.flush()
    assert (first.seqs, second.seqs) == ([1], [])


# Resuming from memory.


def test_a_resumed_client_gets_all_that_it_has_missed(hall: Hall) -> None:
    """In order, then live."""
    hall.publish(1, 2, 3)
    client = Client(hall.hub)
    assert hall.resume(client, since=1) == Resumed(2)
    hall.publish(4)
    hall.flush()
    assert client.seqs == [2, 3, 4]


def test_a_resumed_price_is_the_latest(hall: Hall) -> None:
    """Nothing of it is replayed."""
    for seq in (1, 2):
        hall.publish(seq, kind="price")
    got = hall.client("price:SOL", start=Start(0, "e")).got
    assert [(one["seq"], one["snapshot"]) for one in got] == [(2, True)]


def test_who_has_read_more_than_this_gateway_gets_nothing_twice(hall: Hall) -> None:
    """It resumes here what it read on another one."""
    hall.publish(1, 2)
    client, other = Client(hall.hub), hall.client("trades:SOL")
    hall.resume(client, since=4)
    for seq in (3, 4, 5):
        hall.flush()
        hall.publish(seq)
    hall.flush()
    assert (client.seqs, other.seqs) == ([5], [3, 4, 5])
    assert len(hall.hub._groups) == 1


def test_who_resumes_on_a_quiet_channel_joins_the_others_at_once(hall: Hall) -> None:
    """The seq that it has is of the stream, and may be past the last one of the channel."""
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.client("trades:SOL")
    client = Client(hall.hub)
    hall.resume(client, since=2)
    hall.flush()
    assert client.cursor.group is not None
    assert len(hall.hub._groups) == 1


def test_who_does_not_name_the_stream_is_not_believed_to_be_ahead(hall: Hall) -> None:
    """Its seq may be of another one, and then it would wait for ever."""
    hall.publish(1, 2)
    client = Client(hall.hub)
    hall.hub.subscribe(client.cursor, "trades:SOL", Start(1_000))
    hall.publish(3)
    hall.flush()
    assert client.seqs == [3]


def test_a_replay_is_cut_to_its_limit(hall: Hall) -> None:
    """The newest are replayed, after a gap."""
    hall.publish(1, 2, 3, 4)
    client = Client(hall.hub)
    assert hall.resume(client, since=0, most=2) == Resumed(2)
    hall.flush()
    gap, *events = client.got
    assert (gap["type"], gap["from"], gap["to"]) == ("gap", 0, 3)
    assert [one["seq"] for one in events] == [3, 4]


def test_a_replay_that_is_used_up_is_a_gap_alone(hall: Hall) -> None:
    """Up to here; then live."""
    hall.publish(1, 2)
    client = Client(hall.hub)
    assert hall.resume(client, since=0, most=0) == Resumed(0)
    hall.publish(3)
    hall.flush()
    gap, event = client.got
    assert (gap["type"], gap["from"], gap["to"], event["seq"]) == ("gap", 0, 3, 3)


def test_a_replay_that_was_cut_ends_also_where_the_log_has_moved_on(hall: Hall) -> None:
    """The client may be slow to take it."""
    hall.publish(1, 2, 3)
    client = Client(hall.hub)
    hall.hub.block(client.cursor)
    hall.resume(client, since=0, most=1)
    hall.publish(*range(4, 14))
    hall.hub.drained(client.cursor)
    hall.flush()
    assert client.seqs == ["gap", "gap", 9, 10, 11, 12, 13]


def test_what_was_read_of_another_stream_is_left_behind_by_a_gap(hall: Hall) -> None:
    """It names the stream that is read now, and where it begins."""
    hall.publish(1, 2)
    client = Client(hall.hub)
    resumed = hall.hub.subscribe(client.cursor, "trades:SOL", Start(40, "other"))
    assert resumed == Resumed(2)
    hall.flush()
    gap, *events = client.got
    assert (gap["type"], gap["from"], gap["to"], gap["epoch"]) == ("gap", 40, 1, "e")
    assert [one["seq"] for one in events] == [1, 2]


# Resuming from the stream.


def held(hall: Hall) -> tuple[Client, History]:
    """A client that left so long ago that the log does not reach back: 1 and 2 are gone from it."""
    hall.publish(*range(1, 8))
    client = Client(hall.hub)
    assert hall.resume(client, since=0) == Resumed(5, hall.log())
    return client, client.cursor.held[hall.log()]


def supply(hall: Hall, client: Client, history: History, *seqs: int) -> None:
    """Add events to a history, as somebody does who has fetched them."""
    for seq in seqs:
        frame = protocol.event_message(make_event("trade", "SOL", seq), seq, seq - 1)
        history.add(seq, frame)
        history.covered = seq
    hall.hub.supply(client.cursor)


def test_a_held_client_waits_for_what_its_log_does_not_hold(hall: Hall) -> None:
    """And then goes on in the log, with no hole and no double."""
    client, history = held(hall)
    hall.publish(8)
    hall.flush()
    assert client.got == []
    supply(hall, client, history, 1)
    hall.flush()
    assert client.seqs == [1]
    supply(hall, client, history, 2, 3)
    hall.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]
    assert client.cursor.group is not None


def test_a_client_is_held_on_one_channel_and_live_on_the_others(hall: Hall) -> None:
    """Nobody waits for what has nothing to do with it."""
    client, history = held(hall)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.publish(8, slab="BTC")
    hall.flush()
    assert client.seqs == [8]
    supply(hall, client, history, 1, 2, 3)
    hall.flush()
    assert client.seqs == [1, 2, 3, 4, 5, 6, 7]


def test_who_fetches_is_told_that_more_is_wanted(hall: Hall) -> None:
    """Whenever the history has become shorter."""
    client, history = held(hall)
    calls: list[int] = []
    history.wanted = lambda: calls.append(len(history))
    supply(hall, client, history, 1)
    hall.flush()
    assert calls == [0]


@pytest.mark.parametrize("waiting", [(), (1,)])
@pytest.mark.parametrize("leave", [Hub.remove, lambda hub, one: hub.unsubscribe(one, "trades:SOL")])
def test_who_fetches_is_told_that_the_client_has_left(
    hall: Hall, leave: Callable[[Hub, Cursor], None], waiting: tuple[int, ...]
) -> None:
    """Also where nothing was waiting for it: else he would wait for ever."""
    client, history = held(hall)
    calls: list[bool] = []
    history.wanted = lambda: calls.append(hall.log() in client.cursor.held)
    supply(hall, client, history, *waiting)
    leave(hall.hub, client.cursor)
    assert calls == [False]
    hall.flush()
    assert client.got == []


def test_a_history_that_ends_too_early_ends_in_a_gap(hall: Hall) -> None:
    """Where nobody can fetch the rest."""
    client, history = held(hall)
    supply(hall, client, history, 1)
    hall.hub.release(client.cursor, hall.log())
    hall.publish(8)
    hall.flush()
    gap_at = 1
    got = client.got
    assert [one.get("seq") for one in got] == [1, None, 4, 5, 6, 7, 8]
    assert (got[gap_at]["from"], got[gap_at]["to"]) == (1, 4)


def test_a_client_that_is_held_no_more_cannot_be_released(hall: Hall) -> None:
    """It has gone over to the log, or has left; there is nothing to do."""
    client = hall.client("trades:SOL")
    hall.calls = 0
    hall.hub.release(client.cursor, hall.log())
    assert hall.calls == 0


def test_a_history_is_sent_in_turns_too() -> None:
    """As much as one write takes; nothing of the log before its end."""
    hall = Hall(turn_bytes=250)
    client, history = held(hall)
    supply(hall, client, history, 1, 2, 3)
    hall.flush()
    writes = [[one["seq"] for one in write] for write in client.writes]
    assert writes == [[1, 2], [3], [4, 5], [6, 7]]


def test_a_client_may_be_blocked_by_its_history(hall: Hall) -> None:
    """Then nothing more is written in that turn, from whichever channel."""
    client, history = held(hall)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    client.room = 1
    supply(hall, client, history, 1)
    hall.publish(8, slab="BTC")
    hall.flush()
    assert client.seqs == [1]
    supply(hall, client, history, 2, 3)
    hall.flush()
    assert client.seqs == []
    hall.hub.drained(client.cursor)
    hall.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]


def test_a_held_channel_is_followed_and_can_be_left(hall: Hall) -> None:
    """As any other."""
    client, _ = held(hall)
    assert hall.resume(client, since=0) == Resumed()
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    assert client.cursor.held == {}
    assert client.cursor.slabs == {}
    assert not hall.log().followers


# Another stream.


def test_everybody_is_told_of_another_stream(hall: Hall) -> None:
    """By a gap that names it; then its events follow, whatever their seqs."""
    client = hall.client("trades:SOL", "price:SOL")
    hall.publish(8)
    hall.publish(9, kind="price")
    hall.flush()
    assert client.seqs == [8, 9]
    hall.hub.begin("new", 0, first_seq=1, complete=True)
    hall.now += 1
    hall.publish(1)
    hall.publish(2, kind="price")
    hall.flush()
    gap, *events = client.got
    assert (gap["from"], gap["to"], gap["epoch"]) == (8, 1, "new")
    assert [one["seq"] for one in events] == [1, 2]


def test_a_client_that_slept_through_a_replacement_joins_the_others_again(hall: Hall) -> None:
    """There is no price yet that it could lack."""
    client, other = hall.client("price:SOL"), hall.client("price:SOL")
    hall.hub.block(client.cursor)
    hall.publish(1, kind="price")
    hall.flush()
    hall.hub.begin("new", 0, first_seq=1, complete=True)
    hall.hub.drained(client.cursor)
    hall.flush()
    assert client.cursor.group is other.cursor.group is not None
    hall.now += 1
    hall.publish(1, kind="price")
    hall.flush()
    assert (client.seqs, other.seqs) == ([1], [1, 1])


def test_a_history_of_a_stream_that_is_no_more_ends(hall: Hall) -> None:
    """Who fetches it is told, and the client gets the gap."""
    client, history = held(hall)
    other = hall.client("trades:SOL")
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.hub.subscribe(client.cursor, "price:BTC", Start())
    calls: list[bool] = []
    history.wanted = lambda: calls.append(hall.log() in client.cursor.held)
    supply(hall, client, history, 1)
    hall.flush()
    assert (client.seqs, calls) == ([1], [True])
    hall.hub.begin("new", 0, first_seq=1, complete=True)
    assert calls == [True, False]
    hall.flush()
    gaps = {one["channel"]: (one["from"], one["to"], one["epoch"]) for one in client.got}
    assert gaps == {"trades:SOL": (1, 1, "new"), "trades:BTC": (0, 1, "new")}
    assert [one["from"] for one in other.got] == [7]
