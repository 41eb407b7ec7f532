"""The hub's turns: slow clients catch up by themselves, and nobody's turn is too long."""

import pytest

from percolator.fanout import hub as hub_module
from percolator.fanout.hub import Start
from tests.unit.fanout.hall import Hall

# Slow clients.


def test_a_blocked_client_is_owed_and_not_written_to(hall: Hall) -> None:
    """It catches up by itself: all trades, and only the latest price."""
    client, other = hall.client("trades:SOL", "price:SOL"), hall.client("trades:SOL", "price:SOL")
    hall.hub.pause(client.cursor)
    hall.hub.pause(client.cursor)
    assert hall.hub.paused == 1
    for seq in (1, 2, 3):
        hall.publish(seq)
        hall.publish(seq + 10, kind="price")
        hall.flush()
        hall.now += 1.0
    assert client.got == []
    hall.hub.resume(client.cursor)
    hall.hub.resume(client.cursor)
    assert hall.hub.paused == 0
    hall.flush()
    assert client.seqs == [1, 2, 3, 13]
    assert other.seqs == [1, 11, 2, 12, 3, 13]
    assert len(hall.hub._groups) == 1


def test_what_memory_no_longer_holds_is_announced(hall: Hall) -> None:
    """A slow client is never lied to; the gap is counted."""
    client = hall.client("trades:SOL")
    hall.hub.pause(client.cursor)
    hall.publish(*range(1, 10))
    hall.hub.resume(client.cursor)
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
    hall.hub.resume(client.cursor)
    hall.flush()
    assert client.seqs == [2]


def test_a_client_that_is_blocked_while_it_catches_up_goes_on_later() -> None:
    """From where it stands, however often that happens."""
    hall = Hall(turn_bytes=1, capacity=100)
    client = hall.client("trades:SOL")
    hall.hub.pause(client.cursor)
    hall.publish(*range(1, 7))
    seqs = []
    for _ in range(6):
        client.room = 1
        hall.hub.resume(client.cursor)
        hall.flush()
        seqs.append(client.seqs)
    assert seqs == [[1], [2], [3], [4], [5], [6]]


def test_a_blocked_client_may_change_its_channels(hall: Hall) -> None:
    """It gets what they owe when it has drained."""
    client = hall.client("trades:SOL")
    hall.hub.pause(client.cursor)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.hub.unsubscribe(client.cursor, "trades:SOL")
    hall.publish(1)
    hall.publish(2, slab="BTC")
    hall.flush()
    assert client.got == []
    hall.hub.resume(client.cursor)
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
