"""Resuming: from memory, from the stream, and into another stream."""

from collections.abc import Callable

import pytest

from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub
from percolator.fanout.reader import Resumed, Start
from percolator.fanout.replay_buffer import ReplayBuffer
from percolator.model import messages
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness
from tests.unit.fanout.reference import make_event

# Resuming from memory.


def test_a_resumed_client_gets_all_that_it_has_missed(harness: HubHarness) -> None:
    """In order, then live events."""
    harness.publish(1, 2, 3)
    client = Client(harness.hub)
    assert harness.resume(client, since=1) == Resumed(2, from_memory=True)
    harness.publish(4)
    harness.flush()
    assert client.seqs == [2, 3, 4]


def test_a_resumed_price_channel_sends_the_latest_price(harness: HubHarness) -> None:
    """No price is replayed."""
    for seq in (1, 2):
        harness.publish(seq, kind="price")
    got = harness.client("price:SOL", start=Start(0, "e")).got
    assert [(one["seq"], one["snapshot"]) for one in got] == [(2, True)]


def test_a_client_that_has_read_more_than_this_gateway_gets_nothing_twice(
    harness: HubHarness,
) -> None:
    """It resumes here from a seq that it read on another gateway."""
    harness.publish(1, 2)
    client, other = Client(harness.hub), harness.client("trades:SOL")
    harness.resume(client, since=4)
    for seq in (3, 4, 5):
        harness.flush()
        harness.publish(seq)
    harness.flush()
    assert (client.seqs, other.seqs) == ([5], [3, 4, 5])
    assert len(harness.hub._groups) == 1


def test_a_client_that_resumes_on_a_quiet_channel_joins_the_others_at_once(
    harness: HubHarness,
) -> None:
    """Its seq is one of the stream, and may be past the last one of the channel."""
    harness.publish(1)
    harness.publish(2, slab="BTC")
    harness.client("trades:SOL")
    client = Client(harness.hub)
    harness.resume(client, since=2)
    harness.flush()
    assert client.cursor.group is not None
    assert len(harness.hub._groups) == 1


def test_a_client_that_names_no_epoch_is_not_treated_as_ahead(harness: HubHarness) -> None:
    """Its seq may be of another stream, and then it would wait forever."""
    harness.publish(1, 2)
    client = Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start(1_000))
    harness.publish(3)
    harness.flush()
    assert client.seqs == [3]


def test_a_replay_is_cut_to_its_limit(harness: HubHarness) -> None:
    """The newest events are replayed, after a gap."""
    harness.publish(1, 2, 3, 4)
    client = Client(harness.hub)
    assert harness.resume(client, since=0, limit=2) == Resumed(2, from_memory=True)
    harness.flush()
    gap, *events = client.got
    assert (gap["type"], gap["from"], gap["to"]) == ("gap", 0, 3)
    assert [one["seq"] for one in events] == [3, 4]


def test_a_replay_with_no_limit_left_is_a_single_gap(harness: HubHarness) -> None:
    """Up to the present; then live events."""
    harness.publish(1, 2)
    client = Client(harness.hub)
    assert harness.resume(client, since=0, limit=0) == Resumed(0, from_memory=True)
    harness.publish(3)
    harness.flush()
    gap, event = client.got
    assert (gap["type"], gap["from"], gap["to"], event["seq"]) == ("gap", 0, 3, 3)


def test_a_replay_that_was_cut_ends_even_if_the_log_has_moved_on(harness: HubHarness) -> None:
    """The client may be slow to read it."""
    harness.publish(1, 2, 3)
    client = Client(harness.hub)
    harness.hub.pause(client.cursor)
    harness.resume(client, since=0, limit=1)
    harness.publish(*range(4, 14))
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.seqs == ["gap", "gap", 9, 10, 11, 12, 13]


def test_a_client_of_another_stream_gets_a_gap(harness: HubHarness) -> None:
    """It names the epoch of the stream that is read now, and where that begins."""
    harness.publish(1, 2)
    client = Client(harness.hub)
    resumed = harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start(40, "other"))
    assert resumed == Resumed(2, from_memory=True)
    harness.flush()
    gap, *events = client.got
    assert (gap["type"], gap["from"], gap["to"], gap["epoch"]) == ("gap", 40, 1, "e")
    assert [one["seq"] for one in events] == [1, 2]


# Resuming from the stream.


def held(harness: HubHarness) -> tuple[Client, ReplayBuffer]:
    """A client whose seq is so old that the log does not reach back: it no longer has 1 and 2."""
    harness.publish(*range(1, 8))
    client = Client(harness.hub)
    assert harness.resume(client, since=0) == Resumed(5, replaying=harness.log())
    return client, client.cursor.replaying[harness.log()]


def supply(
    harness: HubHarness, client: Client, buffer: ReplayBuffer, *seqs: int, slab: str = "SOL"
) -> None:
    """Add events to a buffer, as the replayer does after fetching them."""
    for seq in seqs:
        frame = messages.event_message(make_event("trade", slab, seq), seq, seq - 1)
        buffer.add(seq, frame)
        buffer.fetched_through = seq
    harness.hub.notify_replay(client.cursor)


def test_a_replaying_client_waits_for_what_its_log_does_not_hold(harness: HubHarness) -> None:
    """Then it continues from the log, with nothing lost or duplicated."""
    client, buffer = held(harness)
    harness.publish(8)
    harness.flush()
    assert client.got == []
    supply(harness, client, buffer, 1)
    harness.flush()
    assert client.seqs == [1]
    supply(harness, client, buffer, 2, 3)
    harness.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]
    assert client.cursor.group is not None


def test_a_client_is_replaying_on_one_channel_and_live_on_the_others(harness: HubHarness) -> None:
    """A replay delays no other channel."""
    client, buffer = held(harness)
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    harness.publish(8, slab="BTC")
    harness.flush()
    assert client.seqs == [8]
    supply(harness, client, buffer, 1, 2, 3)
    harness.flush()
    assert client.seqs == [1, 2, 3, 4, 5, 6, 7]


def test_the_replayer_is_called_when_the_buffer_has_room(harness: HubHarness) -> None:
    """Whenever the buffer has become shorter."""
    client, buffer = held(harness)
    calls: list[int] = []
    buffer.on_drained = lambda: calls.append(len(buffer))
    supply(harness, client, buffer, 1)
    harness.flush()
    assert calls == [0]


@pytest.mark.parametrize("waiting", [(), (1,)])
@pytest.mark.parametrize(
    "leave", [Hub.remove, lambda hub, one: hub.unsubscribe(one, channel("trades:SOL"))]
)
def test_the_replayer_is_called_when_the_client_has_left(
    harness: HubHarness, leave: Callable[[Hub, Cursor], None], waiting: tuple[int, ...]
) -> None:
    """Even if its buffer was empty: otherwise the replayer would wait forever."""
    client, buffer = held(harness)
    calls: list[bool] = []
    buffer.on_drained = lambda: calls.append(harness.log() in client.cursor.replaying)
    supply(harness, client, buffer, *waiting)
    leave(harness.hub, client.cursor)
    assert calls == [False]
    harness.flush()
    assert client.got == []


def test_a_replay_that_ends_too_early_ends_in_a_gap(harness: HubHarness) -> None:
    """As when the rest cannot be fetched."""
    client, buffer = held(harness)
    supply(harness, client, buffer, 1)
    harness.hub.finish_replay(client.cursor, buffer)
    harness.publish(8)
    harness.flush()
    gap_at = 1
    got = client.got
    assert [one.get("seq") for one in got] == [1, None, 4, 5, 6, 7, 8]
    assert (got[gap_at]["from"], got[gap_at]["to"]) == (1, 4)


def test_finishing_a_replay_that_is_over_does_nothing(harness: HubHarness) -> None:
    """The client reads from the log already, or has left."""
    client, buffer = held(harness)
    harness.hub.unsubscribe(client.cursor, channel("trades:SOL"))
    harness.flush()
    harness.calls = 0
    harness.hub.finish_replay(client.cursor, buffer)
    assert harness.calls == 0


def test_a_replay_is_sent_in_turns_too() -> None:
    """As much as fits into one write; nothing of the log before the replay has ended."""
    harness = HubHarness(turn_bytes=250)
    client, buffer = held(harness)
    supply(harness, client, buffer, 1, 2, 3)
    harness.flush()
    writes = [[one["seq"] for one in write] for write in client.writes]
    assert writes == [[1, 2], [3], [4, 5], [6, 7]]


def test_a_client_may_be_paused_by_its_replay(harness: HubHarness) -> None:
    """Then nothing more is written in that turn, from any channel."""
    client, buffer = held(harness)
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    client.room = 1
    supply(harness, client, buffer, 1)
    harness.publish(8, slab="BTC")
    harness.flush()
    assert client.seqs == [1]
    supply(harness, client, buffer, 2, 3)
    harness.flush()
    assert client.seqs == []
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.seqs == [2, 3, 4, 5, 6, 7, 8]


def test_a_client_paused_by_one_replay_gets_nothing_of_the_next(harness: HubHarness) -> None:
    """The next replay has its turn when the client has drained."""
    client, first = held(harness)
    harness.publish(*range(8, 15), slab="BTC")
    log = harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start(7, "e")).replaying
    assert log is not None
    supply(harness, client, first, 1)
    supply(harness, client, client.cursor.replaying[log], 8, slab="BTC")
    client.room = 1
    harness.flush()
    assert client.seqs == [1]
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.seqs == [8]


def test_a_replaying_channel_is_followed_and_can_be_unsubscribed(harness: HubHarness) -> None:
    """Like any other."""
    client, _ = held(harness)
    assert harness.resume(client, since=0) == Resumed()
    harness.hub.unsubscribe(client.cursor, channel("trades:SOL"))
    assert client.cursor.replaying == {}
    assert client.cursor.slabs == {}
    assert not harness.log().followers


# Another stream.


def test_every_client_gets_a_gap_into_the_new_stream(harness: HubHarness) -> None:
    """Its events follow, whatever their seqs."""
    client = harness.client("trades:SOL", "price:SOL")
    harness.publish(8)
    harness.publish(9, kind="price")
    harness.flush()
    assert client.seqs == [8, 9]
    harness.hub.book.begin("new", 0, first_seq=1, complete=True)
    harness.now += 1
    harness.publish(1)
    harness.publish(2, kind="price")
    harness.flush()
    gap, *events = client.got
    assert (gap["from"], gap["to"], gap["epoch"]) == (8, 1, "new")
    assert [one["seq"] for one in events] == [1, 2]


def test_a_client_paused_during_a_replacement_rejoins_the_others(
    harness: HubHarness,
) -> None:
    """There is no price yet that it could lack."""
    client, other = harness.client("price:SOL"), harness.client("price:SOL")
    harness.hub.pause(client.cursor)
    harness.publish(1, kind="price")
    harness.flush()
    harness.hub.book.begin("new", 0, first_seq=1, complete=True)
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.cursor.group is other.cursor.group is not None
    harness.now += 1
    harness.publish(1, kind="price")
    harness.flush()
    assert (client.seqs, other.seqs) == ([1], [1, 1])


def test_a_replay_of_a_replaced_stream_ends(harness: HubHarness) -> None:
    """The replayer is told, and the client gets the gap."""
    client, buffer = held(harness)
    other = harness.client("trades:SOL")
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    harness.hub.subscribe(client.cursor, channel("price:BTC"), Start())
    calls: list[bool] = []
    buffer.on_drained = lambda: calls.append(harness.log() in client.cursor.replaying)
    supply(harness, client, buffer, 1)
    harness.flush()
    assert (client.seqs, calls) == ([1], [True])
    harness.hub.book.begin("new", 0, first_seq=1, complete=True)
    assert calls == [True, False]
    harness.flush()
    gaps = {one["channel"]: (one["from"], one["to"], one["epoch"]) for one in client.got}
    assert gaps == {"trades:SOL": (1, 1, "new"), "trades:BTC": (0, 1, "new")}
    assert [one["from"] for one in other.got] == [7]
