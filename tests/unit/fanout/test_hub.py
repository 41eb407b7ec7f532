"""The hub: who gets what in how few writes, and what is left when everybody has gone."""

import pytest

from percolator.errors import RequestError
from percolator.fanout.hub import Resumed, Start
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness

# What goes out.


def test_events_go_to_those_who_follow_their_channel(harness: HubHarness) -> None:
    """And to nobody else."""
    sol, btc, both = (
        harness.client("trades:SOL"),
        harness.client("trades:BTC"),
        harness.client("trades:SOL", "trades:BTC"),
    )
    harness.publish(1)
    harness.publish(2, slab="BTC")
    harness.publish(3, kind="funding")
    harness.flush()
    assert (sol.seqs, btc.seqs, both.seqs) == ([1], [2], [1, 2])


def test_what_happens_between_two_flushes_goes_out_in_one_write(harness: HubHarness) -> None:
    """In the order in which it happened, over all channels."""
    client = harness.client("trades:SOL", "funding:SOL", "price:SOL")
    harness.publish(1)
    harness.publish(2, kind="funding")
    harness.publish(3, kind="price")
    harness.publish(4)
    harness.flush()
    assert len(client.writes) == 1
    assert client.seqs == [1, 2, 3, 4]


def test_clients_with_the_same_channels_share_the_work(harness: HubHarness) -> None:
    """Whatever the order in which they named them; all is counted for each of them."""
    clients = [harness.client("trades:SOL", "price:SOL"), harness.client("price:SOL", "trades:SOL")]
    assert len(harness.hub._groups) == 1
    before = harness.stats.messages_sent
    harness.publish(1, 2, 3)
    harness.flush()
    assert [client.seqs for client in clients] == [[1, 2, 3], [1, 2, 3]]
    assert harness.stats.messages_sent - before == 6


def test_a_flush_is_asked_for_once(harness: HubHarness) -> None:
    """However much happens until it comes; and not where nobody is owed anything."""
    harness.client("trades:SOL")
    harness.calls = 0
    harness.publish(1, 2, 3)
    assert harness.calls == 1
    harness.flush()
    harness.publish(4, slab="BTC")
    assert harness.calls == 1


def test_a_price_is_sent_at_once_and_then_once_a_window(harness: HubHarness) -> None:
    """The last of them at its end."""
    client = harness.client("price:SOL")
    for seq in range(1, 11):
        harness.publish(seq, kind="price")
        harness.flush()
        harness.now += 0.0625
    assert client.seqs == [1, 9]
    harness.now = 11.0
    harness.flush()
    assert client.seqs == [10]
    harness.now = 11.5
    harness.flush()
    assert client.seqs == []
    assert harness.hub.book.due is None


def test_who_comes_while_the_others_are_owed_something_joins_them_then(harness: HubHarness) -> None:
    """Each gets it once."""
    other, client = harness.client("trades:SOL"), Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start())
    harness.publish(1)
    harness.flush()
    assert (client.seqs, other.seqs) == ([1], [1])
    assert client.cursor.group is other.cursor.group is not None


# Coming.


def test_the_last_price_and_rate_come_as_snapshots(harness: HubHarness) -> None:
    """In the order in which they were; a trade is no state."""
    harness.publish(1, kind="funding")
    harness.publish(2, kind="price")
    harness.publish(3)
    got = harness.client("price:SOL", "trades:SOL", "funding:SOL").got
    assert [(one["seq"], one.get("snapshot")) for one in got] == [(1, True), (2, True)]


@pytest.mark.parametrize("kind", ["trade", "funding"])
def test_what_happens_before_the_first_flush_is_not_skipped(harness: HubHarness, kind: str) -> None:
    """The client has been told that it is subscribed, and relies on that."""
    harness.publish(1, kind=kind)
    client = Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start())
    harness.hub.subscribe(client.cursor, channel("funding:SOL"), Start())
    harness.publish(2, 3, kind=kind)
    harness.flush()
    assert client.seqs == ([2, 3] if kind == "trade" else [1, 2, 3])


def test_recent_events_come_first(harness: HubHarness) -> None:
    """As many as were asked for; a price has none, and comes as a snapshot."""
    harness.publish(1, 2, 3)
    harness.publish(4, 5, kind="funding")
    harness.publish(6, kind="price")
    client = harness.client("trades:SOL", "funding:SOL", "price:SOL", start=Start(recent=2))
    assert client.seqs == [2, 3, 4, 5, 6]


def test_a_channel_that_is_followed_already_goes_on_as_it_is(harness: HubHarness) -> None:
    """Asking twice changes nothing and counts nothing, whatever is asked for."""
    harness.publish(1, 2)
    client = harness.client("trades:SOL")
    assert harness.resume(client, since=0) == Resumed()
    harness.flush()
    assert client.seqs == []
    assert client.cursor.slabs == {"SOL": 1}


def test_a_new_channel_does_not_disturb_the_others(harness: HubHarness) -> None:
    """Nothing lost and nothing doubled of what was followed before, nor anything for others."""
    client, other = harness.client("trades:SOL"), harness.client("trades:SOL")
    harness.publish(1)
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    harness.publish(2, slab="BTC")
    harness.flush()
    assert (client.seqs, other.seqs) == ([1, 2], [1])


@pytest.mark.parametrize(
    ("limits", "code"), [({"per_slab": 1}, "slab_limit"), ({"channels": 1}, "channel_limit")]
)
def test_where_a_limit_is_met_nothing_has_changed(limits: dict[str, int], code: str) -> None:
    """Neither a log nor a follower nor a count."""
    harness = HubHarness(**limits)
    harness.client("trades:SOL")
    client = harness.client("trades:BTC")
    with pytest.raises(RequestError) as refused:
        harness.hub.subscribe(client.cursor, channel("funding:SOL"), Start())
    assert (refused.value.code, refused.value.channel) == (code, "funding:SOL")
    assert channel("funding:SOL") not in harness.hub.book.logs
    assert client.cursor.slabs == {"BTC": 1}
    harness.publish(1)
    harness.publish(2, slab="BTC")
    harness.flush()
    assert client.seqs == [2]


# Going.


def test_an_unsubscribed_channel_sends_nothing_more(harness: HubHarness) -> None:
    """Not even what was owed already; the others go on."""
    client = harness.client("trades:SOL", "trades:BTC")
    harness.publish(1)
    harness.publish(2, slab="BTC")
    harness.hub.unsubscribe(client.cursor, channel("trades:SOL"))
    harness.flush()
    harness.publish(3)
    harness.flush()
    assert client.seqs == [2]


@pytest.mark.parametrize("name", ["trades:SOL", "trades:BTC"])
def test_a_channel_that_is_not_followed_cannot_be_unsubscribed(
    harness: HubHarness, name: str
) -> None:
    """Whether another client follows it or none does."""
    harness.client("trades:SOL")
    with pytest.raises(RequestError) as refused:
        harness.hub.unsubscribe(Client(harness.hub).cursor, channel(name))
    assert (refused.value.code, refused.value.channel) == ("not_subscribed", name)


def test_a_client_that_has_gone_is_not_written_to(harness: HubHarness) -> None:
    """Nor is anything kept of it: no count, no group, no log that held nothing."""
    client = harness.client("trades:SOL", "price:SOL", "funding:BTC")
    harness.publish(1)
    harness.hub.remove(client.cursor)
    harness.flush()
    assert client.got == []
    assert harness.limits.clients == {}
    assert harness.hub._groups == {}
    assert list(harness.hub.book.logs) == [channel("trades:SOL")]
    assert not harness.log().followers


def test_a_client_that_goes_twice_has_gone_once(harness: HubHarness) -> None:
    """Whatever the ways out were."""
    client = harness.client("trades:SOL")
    harness.hub.pause(client.cursor)
    harness.hub.remove(client.cursor)
    harness.hub.remove(client.cursor)
    assert (harness.hub.paused, harness.limits.clients) == (0, {})


def test_others_stay_in_the_group_that_one_leaves(harness: HubHarness) -> None:
    """And get what they are owed."""
    first, second = harness.client("trades:SOL"), harness.client("trades:SOL")
    harness.publish(1)
    harness.hub.remove(first.cursor)
    harness.flush()
    assert (first.seqs, second.seqs) == ([], [1])


def test_a_hub_is_full_before_clients_that_keep_up_lose_anything(harness: HubHarness) -> None:
    """From half of a log on, until all that is owed has gone out."""
    client = harness.client("trades:SOL")
    full = []
    for seq in (1, 2, 3):
        harness.publish(seq)
        full.append(harness.hub.book.full)
    harness.flush()
    assert [*full, harness.hub.book.full] == [False, False, True, False]
    assert client.seqs == [1, 2, 3]


def test_a_hub_is_full_until_the_last_turn_of_a_flush() -> None:
    """As long as somebody who keeps up has not been sent everything."""
    harness = HubHarness(turn_bytes=1)
    harness.client("trades:SOL")
    harness.publish(1, 2, 3)
    harness.step = 1.0
    turns = [(harness.hub.flush(), harness.hub.book.full) for _ in range(3)]
    assert turns == [(True, True), (True, True), (False, False)]


def test_nobody_who_is_behind_or_elsewhere_makes_a_hub_full(harness: HubHarness) -> None:
    """A slow client holds nobody up, and neither does a market without clients."""
    harness.hub.pause(harness.client("trades:SOL").cursor)
    harness.publish(*range(1, 20), slab="BTC")
    assert not harness.hub.book.full
    harness.publish(*range(20, 40))
    harness.flush()
    assert not harness.hub.book.full


def test_who_catches_up_does_not_make_a_hub_full() -> None:
    """Once those who keep up have been sent everything, no other turn is waited for."""
    harness = HubHarness(turn_bytes=1)
    live, late = harness.client("trades:BTC"), harness.client("trades:SOL")
    harness.hub.pause(late.cursor)
    harness.publish(1, 2, 3, 4, 5)
    harness.flush()
    harness.hub.resume(late.cursor)
    harness.publish(6, 7, 8, slab="BTC")
    harness.step = 1.0
    while live.seqs != [8]:
        assert harness.hub.book.full
        harness.hub.flush()
    assert not harness.hub.book.full
    assert harness.hub.flush()


def test_who_has_just_drained_does_not_make_a_hub_full() -> None:
    """What is owed for having been behind is not waited for, not even the first of it."""
    harness = HubHarness(turn_bytes=1)
    live, late = harness.client("trades:BTC"), harness.client("trades:SOL")
    harness.hub.pause(late.cursor)
    harness.publish(1, 2, 3)
    harness.flush()
    harness.publish(4, 5, 6, slab="BTC")
    harness.step = 1.0
    turns = [harness.hub.flush(), harness.hub.flush()]
    harness.hub.resume(late.cursor)
    assert harness.hub.flush()
    assert (turns, live.seqs, late.seqs) == ([True, True], [4, 5, 6], [])
    assert not harness.hub.book.full
