"""The hub: who gets what in how few writes, and what is left when everybody has gone."""

import pytest

from percolator.errors import RequestError
from percolator.fanout.hub import Resumed, Start
from percolator.model.events import Kind
from tests.unit.fanout.hall import Client, Hall

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


def test_who_comes_while_the_others_are_owed_something_joins_them_then(hall: Hall) -> None:
    """Each gets it once."""
    other, client = hall.client("trades:SOL"), Client(hall.hub)
    hall.hub.subscribe(client.cursor, "trades:SOL", Start())
    hall.publish(1)
    hall.flush()
    assert (client.seqs, other.seqs) == ([1], [1])
    assert client.cursor.group is other.cursor.group is not None


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
    """Nothing lost and nothing doubled of what was followed before, nor anything for others."""
    client, other = hall.client("trades:SOL"), hall.client("trades:SOL")
    hall.publish(1)
    hall.hub.subscribe(client.cursor, "trades:BTC", Start())
    hall.publish(2, slab="BTC")
    hall.flush()
    assert (client.seqs, other.seqs) == ([1, 2], [1])


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
    hall.hub.pause(client.cursor)
    hall.hub.remove(client.cursor)
    hall.hub.remove(client.cursor)
    assert (hall.hub.paused, hall.limits.clients) == (0, {})


def test_others_stay_in_the_group_that_one_leaves(hall: Hall) -> None:
    """And get what they are owed."""
    first, second = hall.client("trades:SOL"), hall.client("trades:SOL")
    hall.publish(1)
    hall.hub.remove(first.cursor)
    hall.flush()
    assert (first.seqs, second.seqs) == ([], [1])


def test_a_hub_is_full_before_clients_that_keep_up_lose_anything(hall: Hall) -> None:
    """From half of a log on, until all that is owed has gone out."""
    client = hall.client("trades:SOL")
    full = []
    for seq in (1, 2, 3):
        hall.publish(seq)
        full.append(hall.hub.full)
    hall.flush()
    assert [*full, hall.hub.full] == [False, False, True, False]
    assert client.seqs == [1, 2, 3]


def test_a_hub_is_full_until_the_last_turn_of_a_flush() -> None:
    """As long as somebody who keeps up has not been sent everything."""
    hall = Hall(turn_bytes=1)
    hall.client("trades:SOL")
    hall.publish(1, 2, 3)
    hall.step = 1.0
    turns = [(hall.hub.flush(), hall.hub.full) for _ in range(3)]
    assert turns == [(True, True), (True, True), (False, False)]


def test_nobody_who_is_behind_or_elsewhere_makes_a_hub_full(hall: Hall) -> None:
    """A slow client holds nobody up, and neither does a market without clients."""
    hall.hub.pause(hall.client("trades:SOL").cursor)
    hall.publish(*range(1, 20), slab="BTC")
    assert not hall.hub.full
    hall.publish(*range(20, 40))
    hall.flush()
    assert not hall.hub.full


def test_who_catches_up_does_not_make_a_hub_full() -> None:
    """Once those who keep up have been sent everything, no other turn is waited for."""
    hall = Hall(turn_bytes=1)
    live, late = hall.client("trades:BTC"), hall.client("trades:SOL")
    hall.hub.pause(late.cursor)
    hall.publish(1, 2, 3, 4, 5)
    hall.flush()
    hall.hub.resume(late.cursor)
    hall.publish(6, 7, 8, slab="BTC")
    hall.step = 1.0
    while live.seqs != [8]:
        assert hall.hub.full
        hall.hub.flush()
    assert not hall.hub.full
    assert hall.hub.flush()


def test_who_has_just_drained_does_not_make_a_hub_full() -> None:
    """What is owed for having been behind is not waited for, not even the first of it."""
    hall = Hall(turn_bytes=1)
    live, late = hall.client("trades:BTC"), hall.client("trades:SOL")
    hall.hub.pause(late.cursor)
    hall.publish(1, 2, 3)
    hall.flush()
    hall.publish(4, 5, 6, slab="BTC")
    hall.step = 1.0
    turns = [hall.hub.flush(), hall.hub.flush()]
    hall.hub.resume(late.cursor)
    assert hall.hub.flush()
    assert (turns, live.seqs, late.seqs) == ([True, True], [4, 5, 6], [])
    assert not hall.hub.full
