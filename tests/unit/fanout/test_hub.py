"""The hub: which client gets what in how few writes, and what is left without clients."""

from typing import Any

import pytest

from percolator.errors import RequestError
from percolator.fanout.reader import Resumed, Start
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness

# What goes out.


def test_events_go_to_the_followers_of_their_channel(harness: HubHarness) -> None:
    """And to no other client."""
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


def test_events_between_two_flushes_go_out_in_one_write(harness: HubHarness) -> None:
    """In the order in which they happened, over all channels."""
    client = harness.client("trades:SOL", "funding:SOL", "price:SOL")
    harness.publish(1)
    harness.publish(2, kind="funding")
    harness.publish(3, kind="price")
    harness.publish(4)
    harness.flush()
    assert len(client.writes) == 1
    assert client.seqs == [1, 2, 3, 4]


def test_clients_with_the_same_channels_share_the_work(harness: HubHarness) -> None:
    """Whatever the order in which they named them; everything is counted for each of them."""
    clients = [harness.client("trades:SOL", "price:SOL"), harness.client("price:SOL", "trades:SOL")]
    assert len(harness.hub._groups) == 1
    before = harness.stats.messages_sent
    harness.publish(1, 2, 3)
    harness.flush()
    assert [client.seqs for client in clients] == [[1, 2, 3], [1, 2, 3]]
    assert harness.stats.messages_sent - before == 6


def test_a_flush_is_requested_once(harness: HubHarness) -> None:
    """However much happens before it; and not at all if no client needs it."""
    harness.client("trades:SOL")
    harness.calls = 0
    harness.publish(1, 2, 3)
    assert harness.calls == 1
    harness.flush()
    harness.publish(4, slab="BTC")
    assert harness.calls == 1


def test_a_price_is_sent_at_once_and_then_once_per_window(harness: HubHarness) -> None:
    """The last price of a window is sent at its end."""
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


def test_a_client_that_subscribes_before_a_flush_joins_the_others_after_it(
    harness: HubHarness,
) -> None:
    """Each client gets each event once."""
    other, client = harness.client("trades:SOL"), Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start())
    harness.publish(1)
    harness.flush()
    assert (client.seqs, other.seqs) == ([1], [1])
    assert client.cursor.group is other.cursor.group is not None


# Coming.


def test_the_last_price_and_rate_are_sent_as_snapshots(harness: HubHarness) -> None:
    """In the order of their seqs; a trade is not a state."""
    harness.publish(1, kind="funding")
    harness.publish(2, kind="price")
    harness.publish(3)
    got = harness.client("price:SOL", "trades:SOL", "funding:SOL").got
    assert [(one["seq"], one.get("snapshot")) for one in got] == [(1, True), (2, True)]


@pytest.mark.parametrize("kind", ["trade", "funding"])
def test_events_before_the_first_flush_are_not_skipped(harness: HubHarness, kind: str) -> None:
    """The client has been told that it is subscribed, and relies on that."""
    harness.publish(1, kind=kind)
    client = Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start())
    harness.hub.subscribe(client.cursor, channel("funding:SOL"), Start())
    harness.publish(2, 3, kind=kind)
    harness.flush()
    assert client.seqs == ([2, 3] if kind == "trade" else [1, 2, 3])


def test_recent_events_are_sent_first(harness: HubHarness) -> None:
    """As many as requested; a price channel has none, and sends its snapshot."""
    harness.publish(1, 2, 3)
    harness.publish(4, 5, kind="funding")
    harness.publish(6, kind="price")
    client = harness.client("trades:SOL", "funding:SOL", "price:SOL", start=Start(recent=2))
    assert client.seqs == [2, 3, 4, 5, 6]


def test_a_channel_that_is_followed_already_continues_unchanged(harness: HubHarness) -> None:
    """Subscribing twice changes nothing and counts nothing, whatever the request names."""
    harness.publish(1, 2)
    client = harness.client("trades:SOL")
    assert harness.resume(client, since=0) == Resumed()
    harness.flush()
    assert client.seqs == []
    assert client.cursor.slabs == {"SOL": 1}


def test_a_new_channel_does_not_disturb_the_others(harness: HubHarness) -> None:
    """Nothing is lost or duplicated on the channels followed before, nor for other clients."""
    client, other = harness.client("trades:SOL"), harness.client("trades:SOL")
    harness.publish(1)
    harness.hub.subscribe(client.cursor, channel("trades:BTC"), Start())
    harness.publish(2, slab="BTC")
    harness.flush()
    assert (client.seqs, other.seqs) == ([1, 2], [1])


@pytest.mark.parametrize(
    ("limits", "code"), [({"per_slab": 1}, "slab_limit"), ({"channels": 1}, "channel_limit")]
)
def test_a_subscribe_over_a_limit_changes_nothing(limits: dict[str, Any], code: str) -> None:
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
    """Not even what was due already; the others continue."""
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
    """Whether another client follows it or none does, or it is not a valid channel."""
    harness.client("trades:SOL")
    with pytest.raises(RequestError) as refused:
        harness.hub.unsubscribe(Client(harness.hub).cursor, channel(name))
    assert (refused.value.code, refused.value.channel) == ("not_subscribed", name)


def test_a_client_that_has_disconnected_is_not_written_to(harness: HubHarness) -> None:
    """Nothing of it is kept: no count, no group, no log that was empty."""
    client = harness.client("trades:SOL", "price:SOL", "funding:BTC")
    harness.publish(1)
    harness.hub.remove(client.cursor)
    harness.flush()
    assert client.got == []
    assert harness.limits.clients == {}
    assert harness.hub._groups == {}
    assert list(harness.hub.book.logs) == [channel("trades:SOL")]
    assert not harness.log().followers


def test_a_client_may_be_removed_twice(harness: HubHarness) -> None:
    """Whatever the causes were."""
    client = harness.client("trades:SOL")
    harness.hub.pause(client.cursor)
    harness.hub.remove(client.cursor)
    harness.hub.remove(client.cursor)
    assert (harness.hub.paused, harness.limits.clients) == (0, {})


def test_the_others_stay_in_a_group_that_a_client_leaves(harness: HubHarness) -> None:
    """They get what is due to them."""
    first, second = harness.client("trades:SOL"), harness.client("trades:SOL")
    harness.publish(1)
    harness.hub.remove(first.cursor)
    harness.flush()
    assert (first.seqs, second.seqs) == ([], [1])


def test_a_hub_is_full_before_clients_that_keep_up_lose_anything(harness: HubHarness) -> None:
    """From half a log of unsent events until everything due has gone out."""
    client = harness.client("trades:SOL")
    full = []
    for seq in (1, 2, 3):
        harness.publish(seq)
        full.append(harness.hub.book.full)
    harness.flush()
    assert [*full, harness.hub.book.full] == [False, False, True, False]
    assert client.seqs == [1, 2, 3]


def test_a_hub_is_full_until_the_last_turn_of_a_flush() -> None:
    """As long as a client that keeps up has not been sent everything."""
    harness = HubHarness(turn_bytes=1)
    harness.client("trades:SOL")
    harness.publish(1, 2, 3)
    harness.step = 1.0
    turns = [(harness.hub.flush(), harness.hub.book.full) for _ in range(3)]
    assert turns == [(True, True), (True, True), (False, False)]


def test_neither_slow_clients_nor_unfollowed_markets_make_a_hub_full(harness: HubHarness) -> None:
    """A slow client delays no other, and neither does a market without clients."""
    harness.hub.pause(harness.client("trades:SOL").cursor)
    harness.publish(*range(1, 20), slab="BTC")
    assert not harness.hub.book.full
    harness.publish(*range(20, 40))
    harness.flush()
    assert not harness.hub.book.full


def test_a_client_that_catches_up_does_not_make_a_hub_full() -> None:
    """Once the clients that keep up have been sent everything, the hub waits for no other turn."""
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


def test_a_client_that_has_just_resumed_does_not_make_a_hub_full() -> None:
    """What it missed is not waited for, not even the first part of it."""
    harness = HubHarness(turn_bytes=1)
    live, *late = (harness.client(name) for name in ("trades:BTC", "trades:SOL", "trades:SOL"))
    for client in late:
        harness.hub.pause(client.cursor)
    harness.publish(1, 2, 3)
    harness.flush()
    harness.publish(4, 5, 6, slab="BTC")
    harness.step = 1.0
    turns = [harness.hub.flush(), harness.hub.flush()]
    for client in late:
        harness.hub.resume(client.cursor)
    assert harness.hub.flush()
    assert (turns, live.seqs) == ([True, True], [4, 5, 6])
    assert [client.seqs for client in late] == [[1], []]
    assert not harness.hub.book.full
