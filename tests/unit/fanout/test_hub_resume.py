"""Resuming: from memory, from the stream, and into another stream."""

from collections.abc import Callable

import pytest

from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub, Resumed, Start
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.model import messages
from tests.unit.fanout.hall import Client, Hall
from tests.unit.fanout.reference import make_event

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
    hall.hub.pause(client.cursor)
    hall.resume(client, since=0, most=1)
    hall.publish(*range(4, 14))
    hall.hub.resume(client.cursor)
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


def held(hall: Hall) -> tuple[Client, ReplayBuffer]:
    """A client that left so long ago that the log does not reach back: 1 and 2 are gone from it."""
    hall.publish(*range(1, 8))
    client = Client(hall.hub)
    assert hall.resume(client, since=0) == Resumed(5, hall.log())
    return client, client.cursor.replaying[hall.log()]


def supply(hall: Hall, client: Client, buffer: ReplayBuffer, *seqs: int, slab: str = "SOL") -> None:
    """Add events to a buffer, as somebody does who has fetched them."""
    for seq in seqs:
        frame = messages.event_message(make_event("trade", slab, seq), seq, seq - 1)
        buffer.add(seq, frame)
        buffer.fetched_through = seq
    hall.hub.notify_replay(client.cursor)


def test_a_held_client_waits_for_what_its_log_does_not_hold(hall: Hall) -> None:
    """And then goes on in the log, with no hole and no double."""
    client, buffer = held(hall)
    hall.publish(8)
    hall.flush()
    assert client.got == []
    supply(hall, client, buffer, 1)
    hall.flush()
    assert client.seqs == [1]
    supply(hall, client, buffer, 2, 3)
    hall.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]
    assert client.cursor.group is not None


def test_a_client_is_held_on_one_channel_and_live_on_the_others(hall: Hall) -> None:
    """Nobody waits for what has nothing to do with it."""
    client, buffer = held(hall)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.publish(8, slab="BTC")
    hall.flush()
    assert client.seqs == [8]
    supply(hall, client, buffer, 1, 2, 3)
    hall.flush()
    assert client.seqs == [1, 2, 3, 4, 5, 6, 7]


def test_who_fetches_is_told_that_more_is_wanted(hall: Hall) -> None:
    """Whenever the buffer has become shorter."""
    client, buffer = held(hall)
    calls: list[int] = []
    buffer.on_drained = lambda: calls.append(len(buffer))
    supply(hall, client, buffer, 1)
    hall.flush()
    assert calls == [0]


@pytest.mark.parametrize("waiting", [(), (1,)])
@pytest.mark.parametrize("leave", [Hub.remove, lambda hub, one: hub.unsubscribe(one, "trades:SOL")])
def test_who_fetches_is_told_that_the_client_has_left(
    hall: Hall, leave: Callable[[Hub, Cursor], None], waiting: tuple[int, ...]
) -> None:
    """Also where nothing was waiting for it: else he would wait for ever."""
    client, buffer = held(hall)
    calls: list[bool] = []
    buffer.on_drained = lambda: calls.append(hall.log() in client.cursor.replaying)
    supply(hall, client, buffer, *waiting)
    leave(hall.hub, client.cursor)
    assert calls == [False]
    hall.flush()
    assert client.got == []


def test_a_history_that_ends_too_early_ends_in_a_gap(hall: Hall) -> None:
    """Where nobody can fetch the rest."""
    client, buffer = held(hall)
    supply(hall, client, buffer, 1)
    hall.hub.finish_replay(client.cursor, buffer)
    hall.publish(8)
    hall.flush()
    gap_at = 1
    got = client.got
    assert [one.get("seq") for one in got] == [1, None, 4, 5, 6, 7, 8]
    assert (got[gap_at]["from"], got[gap_at]["to"]) == (1, 4)


def test_a_client_that_is_held_no_more_cannot_be_released(hall: Hall) -> None:
    """It has gone over to the log, or has left; there is nothing to do."""
    client, buffer = held(hall)
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    hall.flush()
    hall.calls = 0
    hall.hub.finish_replay(client.cursor, buffer)
    assert hall.calls == 0


def test_a_history_is_sent_in_turns_too() -> None:
    """As much as one write takes; nothing of the log before its end."""
    hall = Hall(turn_bytes=250)
    client, buffer = held(hall)
    supply(hall, client, buffer, 1, 2, 3)
    hall.flush()
    writes = [[one["seq"] for one in write] for write in client.writes]
    assert writes == [[1, 2], [3], [4, 5], [6, 7]]


def test_a_client_may_be_blocked_by_its_history(hall: Hall) -> None:
    """Then nothing more is written in that turn, from whichever channel."""
    client, buffer = held(hall)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    client.room = 1
    supply(hall, client, buffer, 1)
    hall.publish(8, slab="BTC")
    hall.flush()
    assert client.seqs == [1]
    supply(hall, client, buffer, 2, 3)
    hall.flush()
    assert client.seqs == []
    hall.hub.resume(client.cursor)
    hall.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]


def test_a_client_that_one_history_blocks_is_sent_nothing_of_the_next(hall: Hall) -> None:
    """The next has its turn when the client has drained."""
    client, first = held(hall)
    hall.publish(*range(8, 15), slab="BTC")
    log = hall.hub.subscribe(client.cursor, "trades:BTC", Start(7, "e")).replaying
    assert log is not None
    supply(hall, client, first, 1)
    supply(hall, client, client.cursor.replaying[log], 8, slab="BTC")
    client.room = 1
    hall.flush()
    assert client.seqs == [1]
    hall.hub.resume(client.cursor)
    hall.flush()
    assert client.seqs == [8]


def test_a_held_channel_is_followed_and_can_be_left(hall: Hall) -> None:
    """As any other."""
    client, _ = held(hall)
    assert hall.resume(client, since=0) == Resumed()
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    assert client.cursor.replaying == {}
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
    hall.hub.pause(client.cursor)
    hall.publish(1, kind="price")
    hall.flush()
    hall.hub.begin("new", 0, first_seq=1, complete=True)
    hall.hub.resume(client.cursor)
    hall.flush()
    assert client.cursor.group is other.cursor.group is not None
    hall.now += 1
    hall.publish(1, kind="price")
    hall.flush()
    assert (client.seqs, other.seqs) == ([1], [1, 1])


def test_a_history_of_a_stream_that_is_no_more_ends(hall: Hall) -> None:
    """Who fetches it is told, and the client gets the gap."""
    client, buffer = held(hall)
    other = hall.client("trades:SOL")
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.hub.subscribe(client.cursor, "price:BTC", Start())
    calls: list[bool] = []
    buffer.on_drained = lambda: calls.append(hall.log() in client.cursor.replaying)
    supply(hall, client, buffer, 1)
    hall.flush()
    assert (client.seqs, calls) == ([1], [True])
    hall.hub.begin("new", 0, first_seq=1, complete=True)
    assert calls == [True, False]
    hall.flush()
    gaps = {one["channel"]: (one["from"], one["to"], one["epoch"]) for one in client.got}
    assert gaps == {"trades:SOL": (1, 1, "new"), "trades:BTC": (0, 1, "new")}
    assert [one["from"] for one in other.got] == [7]
