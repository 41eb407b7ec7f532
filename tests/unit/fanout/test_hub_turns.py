"""The hub's turns: slow clients catch up by themselves, and no client's turn takes too long."""

from unittest.mock import Mock

import pytest

from percolator.fanout import followers
from percolator.fanout.reader import Start
from percolator.model import messages
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness

# Slow clients.


def test_a_paused_client_is_not_written_to_until_it_has_drained(harness: HubHarness) -> None:
    """It catches up by itself: all trades, and only the latest price."""
    client, other = (
        harness.client("trades:SOL", "price:SOL"),
        harness.client("trades:SOL", "price:SOL"),
    )
    harness.hub.pause(client.cursor)
    harness.hub.pause(client.cursor)
    assert harness.hub.paused == 1
    for seq in (1, 2, 3):
        harness.publish(seq)
        harness.publish(seq + 10, kind="price")
        harness.flush()
        harness.now += 1.0
    assert client.got == []
    harness.hub.resume(client.cursor)
    harness.hub.resume(client.cursor)
    assert harness.hub.paused == 0
    harness.flush()
    assert client.seqs == [1, 2, 3, 13]
    assert other.seqs == [1, 11, 2, 12, 3, 13]
    assert len(harness.hub._groups) == 1


def test_events_that_memory_no_longer_holds_are_announced_by_a_gap(harness: HubHarness) -> None:
    """The gap is counted."""
    client = harness.client("trades:SOL")
    harness.hub.pause(client.cursor)
    harness.publish(*range(1, 10))
    harness.hub.resume(client.cursor)
    harness.flush()
    got = client.got
    assert (got[0]["type"], got[0]["from"], got[0]["to"]) == ("gap", 0, 5)
    assert [one["seq"] for one in got[1:]] == [5, 6, 7, 8, 9]
    assert harness.stats.gaps == 1


def test_a_client_may_be_paused_by_the_write_itself(harness: HubHarness) -> None:
    """What was written is not sent again; the others of its group get all events."""
    client, other = harness.client("trades:SOL"), harness.client("trades:SOL")
    client.room = 1
    harness.publish(1)
    harness.flush()
    harness.publish(2)
    harness.flush()
    assert (client.seqs, other.seqs) == ([1], [1, 2])
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.seqs == [2]


def test_a_client_that_is_paused_while_it_catches_up_continues_later() -> None:
    """From its position, however often that happens."""
    harness = HubHarness(turn_bytes=1, capacity=100)
    client = harness.client("trades:SOL")
    harness.hub.pause(client.cursor)
    harness.publish(*range(1, 7))
    seqs = []
    for _ in range(6):
        client.room = 1
        harness.hub.resume(client.cursor)
        harness.flush()
        seqs.append(client.seqs)
    assert seqs == [[1], [2], [3], [4], [5], [6]]


def test_a_paused_client_may_change_its_channels(harness: HubHarness) -> None:
    """It gets the events of its new channels when it has drained."""
    client = harness.client("trades:SOL")
    harness.hub.pause(client.cursor)
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    harness.hub.unsubscribe(client.cursor, channel("trades:SOL"))
    harness.publish(1)
    harness.publish(2, slab="BTC")
    harness.flush()
    assert client.got == []
    harness.hub.resume(client.cursor)
    harness.flush()
    assert client.seqs == [2]


# Turns.


def test_one_write_is_bounded_in_bytes() -> None:
    """The rest waits for the next turn, and is still in order."""
    harness = HubHarness(turn_bytes=250, capacity=100)
    client, group = harness.client("trades:SOL", "funding:SOL"), harness.client("trades:SOL")
    harness.client("trades:SOL")
    for seq in range(1, 20, 2):
        harness.publish(seq)
        harness.publish(seq + 1, kind="funding")
    harness.flush()
    assert {len(write) for write in client.writes} == {2}
    assert client.seqs == list(range(1, 21))
    assert group.seqs == list(range(1, 20, 2))


def test_one_turn_of_a_large_group_is_bounded_in_total_bytes(
    harness: HubHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So one storm does not delay all other clients."""
    monkeypatch.setattr(followers, "TURN_BYTES", 400)
    clients = [harness.client("trades:SOL") for _ in range(3)]
    harness.publish(1, 2, 3)
    harness.flush()
    assert [[len(write) for write in client.writes] for client in clients] == [[1, 1, 1]] * 3


def test_a_flush_stops_when_its_time_is_up(harness: HubHarness) -> None:
    """It reports that something is left, and the next flush continues with it."""
    clients = [harness.client(f"trades:{slab}") for slab in "ABC"]
    for seq, slab in enumerate("ABC", start=1):
        harness.publish(seq, slab=slab)
    harness.step = 0.05
    assert [harness.hub.flush(), harness.hub.flush(), harness.hub.flush()] == [True, True, False]
    assert [client.seqs for client in clients] == [[1], [2], [3]]


def test_clients_that_catch_up_have_their_turns_after_those_that_keep_up() -> None:
    """Even if they were in the queue first; and each flush has a turn for one of them."""
    harness = HubHarness(capacity=100, turn_bytes=1)
    live = [harness.client(f"trades:{slab}") for slab in "BC"]
    late = [harness.client("trades:A") for _ in range(2)]
    for client in late:
        harness.hub.pause(client.cursor)
    harness.publish(1, 2, slab="A")
    for client in late:
        harness.hub.resume(client.cursor)
    harness.step = 0.005
    seen = []
    for seq in range(11, 17, 2):
        harness.publish(seq, slab="B")
        harness.publish(seq + 1, slab="C")
        harness.hub.flush()
        seen.append([client.seqs for client in (*live, *late)])
    assert seen == [[[11], [12], [1], []], [[13], [14], [], [1]], [[15], [16], [2], []]]


def test_a_client_joins_its_group_once_the_group_has_had_its_turn() -> None:
    """A flush may end before that; the client neither misses nor repeats an event."""
    harness = HubHarness()
    first, second = harness.client("trades:A"), harness.client("trades:B")
    harness.publish(1, slab="A")
    harness.publish(2, slab="B")
    newcomer = Client(harness.hub)
    harness.hub.subscribe(newcomer.cursor, channel("trades:B"), Start())
    harness.step = 0.05
    assert harness.hub.flush()
    assert newcomer.cursor.group is None
    harness.flush()
    harness.publish(3, slab="B")
    harness.flush()
    assert newcomer.cursor.group is second.cursor.group
    assert (first.seqs, second.seqs, newcomer.seqs) == ([1], [2, 3], [3])


def test_a_client_far_behind_on_many_channels_gets_them_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each turn takes the next messages of all channels, and makes no more than it sends."""
    harness = HubHarness(capacity=100, turn_bytes=500)
    slabs = [f"M{number}" for number in range(20)]
    client = harness.client(*(f"trades:{slab}" for slab in slabs))
    harness.hub.pause(client.cursor)
    for seq in range(1, 201):
        harness.publish(seq, slab=slabs[seq * 7 % 20])
    harness.hub.resume(client.cursor)
    encode = Mock(side_effect=messages.event_message)
    monkeypatch.setattr(messages, "event_message", encode)
    harness.step = 1.0
    harness.hub.flush()
    sent = client.seqs
    assert sent == list(range(1, len(sent) + 1))
    assert len(sent) < encode.call_count <= len(sent) + len(slabs)
    harness.flush()
    assert client.seqs == list(range(len(sent) + 1, 201))


def test_a_group_that_all_members_left_while_it_waited_is_skipped(harness: HubHarness) -> None:
    """It still has its turn."""
    first, second = harness.client("trades:A"), harness.client("trades:B")
    harness.publish(1, slab="A")
    harness.publish(2, slab="B")
    harness.step = 0.05
    assert harness.hub.flush()
    harness.hub.remove(second.cursor)
    assert not harness.hub.flush()
    assert (first.seqs, second.seqs) == ([1], [])
