"""Channels of all markets: ordinary messages, each once, with a start per market."""

import pytest

from percolator.fanout.reader import Resumed, Start
from tests.channels import KIND_NAMES, channel, channel_of
from tests.unit.fanout.harness import Client, HubHarness


def got_of(client: Client) -> list[tuple[str, str, int]]:
    """Return kind, market and seq of each message since the last call."""
    return [
        (one["type"], one.get("slab") or one["channel"], one.get("seq", 0)) for one in client.got
    ]


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_wildcard_has_the_events_of_every_market_also_of_new_ones(
    harness: HubHarness, kind: str
) -> None:
    """They are the messages that a market's own channel has."""
    everything, one = (harness.client(channel_of(kind, slab).name) for slab in ("*", "BTC"))
    for seq, slab in enumerate(("SOL", "BTC", "ETH"), start=1):
        harness.publish(seq, kind=kind, slab=slab)
    harness.flush()
    got = everything.got
    assert [(message["slab"], message["seq"]) for message in got] == [
        ("SOL", 1),
        ("BTC", 2),
        ("ETH", 3),
    ]
    assert one.got == got[1:2]


def test_events_of_other_kinds_are_not_in_a_wildcard(harness: HubHarness) -> None:
    """It is of one kind."""
    client = harness.client("trades:*")
    harness.publish(1, kind="price")
    harness.publish(2, kind="liquidation")
    harness.flush()
    assert client.got == []


def test_the_prev_of_an_event_in_a_wildcard_is_its_markets_own(harness: HubHarness) -> None:
    """Clients chain the events of each market."""
    client = harness.client("trades:*")
    harness.publish(1, 3, slab="SOL")
    harness.publish(4, slab="BTC")
    harness.publish(5, slab="SOL")
    harness.flush()
    assert [message["prev"] for message in client.got] == [0, 1, 0, 3]


@pytest.mark.parametrize("kind", ["price", "funding", "market"])
def test_a_wildcard_starts_with_one_snapshot_per_market(harness: HubHarness, kind: str) -> None:
    """The newest event of each."""
    harness.publish(1, 2, kind=kind, slab="SOL")
    harness.publish(3, kind=kind, slab="BTC")
    client = harness.client(f"{kind}:*")
    assert [(one["seq"], one["snapshot"]) for one in client.got] == [(2, True), (3, True)]
    harness.publish(4, kind=kind, slab="SOL")
    harness.now += 1.0
    harness.flush()
    assert [(one["seq"], "snapshot" in one) for one in client.got] == [(4, False)]


def test_a_wildcard_starts_with_the_recent_events_of_each_market(harness: HubHarness) -> None:
    """As many of each as were asked for, in the stream's order."""
    harness.publish(1, 2, 3, slab="SOL")
    harness.publish(4, 5, slab="BTC")
    client = harness.client("trades:*", start=Start(recent=2))
    assert client.seqs == [2, 3, 4, 5]


def test_the_recent_events_of_all_markets_count_under_the_replay_limit(
    harness: HubHarness,
) -> None:
    """The markets that come last have fewer, or none."""
    harness.publish(1, 2, slab="SOL")
    harness.publish(3, 4, slab="BTC")
    harness.publish(5, 6, slab="ETH")
    client = Client(harness.hub)
    resumed = harness.hub.subscribe(client.cursor, channel("trades:*"), Start(recent=2), 3)
    harness.flush()
    assert (resumed, client.seqs) == (Resumed(3), [1, 2, 4])


def test_a_wildcard_resumes_each_market_after_one_seq(harness: HubHarness) -> None:
    """Nothing is lost or doubled in any market."""
    for seq, slab in enumerate(("SOL", "BTC", "ETH", "SOL"), start=1):
        harness.publish(seq, slab=slab)
    client = harness.client("trades:*", start=Start(2, "e"))
    harness.publish(5, slab="BTC")
    harness.flush()
    assert client.seqs == [3, 4, 5]


def test_a_wildcard_holds_more_than_a_market_does(harness: HubHarness) -> None:
    """A client that resumes it needs no replay for a while."""
    harness.publish(*range(1, 51))
    client = Client(harness.hub)
    resumed = harness.hub.subscribe(client.cursor, channel("trades:*"), Start(3, "e"))
    harness.flush()
    assert resumed == Resumed(47, from_memory=True)
    assert client.seqs == list(range(4, 51))


def test_what_a_wildcard_no_longer_holds_is_a_gap_of_all_markets(harness: HubHarness) -> None:
    """A client that was paused for long gets it in place of the events."""
    client = harness.client("trades:*")
    harness.hub.pause(client.cursor)
    harness.publish(*range(1, 61))
    harness.flush()
    harness.hub.resume(client.cursor)
    harness.flush()
    gap, *events = client.got
    assert gap == {"type": "gap", "channel": "trades:*", "from": 0, "to": 11}
    assert [one["seq"] for one in events] == list(range(11, 61))


def test_events_that_the_stream_has_lost_are_a_gap_of_all_markets(harness: HubHarness) -> None:
    """Any market may be concerned, also one that was never seen."""
    client = harness.client("trades:*")
    harness.publish(1)
    harness.book.record_gap(5)
    harness.book.record_gap(8, {channel("funding:SOL")})
    harness.publish(8)
    harness.flush()
    assert client.seqs == [1, "gap", 8]


def test_a_stream_that_was_replaced_is_a_gap_of_all_markets(harness: HubHarness) -> None:
    """With the new epoch."""
    client = harness.client("trades:*")
    harness.publish(1)
    harness.flush()
    harness.book.begin("f", 0, first_seq=1, complete=True)
    harness.publish(1, slab="BTC")
    harness.flush()
    first, gap, last = client.got
    assert (first["seq"], last["seq"]) == (1, 1)
    assert gap == {"type": "gap", "channel": "trades:*", "from": 1, "to": 1, "epoch": "f"}


@pytest.mark.parametrize("names", [("trades:*", "trades:SOL"), ("trades:SOL", "trades:*")])
def test_each_message_comes_once_to_a_client_of_a_wildcard_and_a_market(
    harness: HubHarness, names: tuple[str, str]
) -> None:
    """In whichever order it has subscribed."""
    client = harness.client(*names)
    harness.publish(1, slab="SOL")
    harness.publish(2, slab="BTC")
    harness.flush()
    assert client.seqs == [1, 2]


def test_a_market_that_is_behind_catches_up_when_its_client_follows_all(
    harness: HubHarness,
) -> None:
    """The market goes on where it stood; the others begin now."""
    client = Client(harness.hub)
    harness.publish(1, slab="BTC")
    harness.hub.subscribe(client.cursor, channel("trades:SOL"), Start())
    harness.publish(2, 3, slab="SOL")
    harness.hub.subscribe(client.cursor, channel("trades:*"), Start())
    harness.publish(4, slab="SOL")
    harness.publish(5, slab="BTC")
    harness.flush()
    assert client.seqs == [2, 3, 4, 5]
    assert set(client.cursor.positions) == {harness.book.lossless_of_all[channel("trades:*").kind]}


def test_a_market_goes_on_when_its_client_leaves_the_wildcard(harness: HubHarness) -> None:
    """Nothing of it is lost or doubled; the other markets end."""
    client = harness.client("trades:*", "trades:SOL")
    harness.publish(1, slab="SOL")
    harness.flush()
    harness.publish(2, slab="SOL")
    harness.hub.unsubscribe(client.cursor, channel("trades:*"))
    harness.publish(3, slab="BTC")
    harness.publish(4, slab="SOL")
    harness.flush()
    assert client.seqs == [1, 2, 4]


def test_a_price_goes_on_when_its_client_leaves_the_wildcard(harness: HubHarness) -> None:
    """A price that it has had does not come again, and one that it lacks comes."""
    harness.publish(1, kind="price", slab="SOL")
    harness.publish(2, kind="price", slab="BTC")
    client = harness.client("price:*", "price:SOL", "price:BTC")
    assert client.seqs == [1, 2]
    harness.publish(3, kind="price", slab="SOL")
    harness.hub.unsubscribe(client.cursor, channel("price:*"))
    harness.flush()
    assert client.seqs == [3]


def test_a_market_of_a_wildcard_goes_on_when_it_is_left_by_name(harness: HubHarness) -> None:
    """It is still one of all markets."""
    client = harness.client("trades:*", "trades:SOL")
    harness.hub.unsubscribe(client.cursor, channel("trades:SOL"))
    harness.publish(1, slab="SOL")
    harness.flush()
    assert client.seqs == [1]


def test_leaving_a_wildcard_before_its_replay_says_that_the_stream_was_replaced(
    harness: HubHarness,
) -> None:
    """The client has not been told of it yet."""
    client = Client(harness.hub)
    for name in ("trades:*", "trades:SOL"):
        harness.hub.subscribe(client.cursor, channel(name), Start(7, "another"))
    harness.hub.unsubscribe(client.cursor, channel("trades:*"))
    harness.flush()
    (gap,) = client.got
    assert gap == {"type": "gap", "channel": "trades:SOL", "from": 7, "to": 1, "epoch": "e"}


def test_leaving_a_wildcard_that_is_behind_says_that_the_stream_was_replaced(
    harness: HubHarness,
) -> None:
    """The client was paused when another stream took its place."""
    client = harness.client("trades:*", "trades:SOL")
    harness.hub.pause(client.cursor)
    harness.book.begin("f", 0, first_seq=1, complete=True)
    harness.hub.unsubscribe(client.cursor, channel("trades:*"))
    harness.hub.resume(client.cursor)
    harness.flush()
    (gap,) = client.got
    assert gap == {"type": "gap", "channel": "trades:SOL", "from": 0, "to": 1, "epoch": "f"}


def test_a_market_that_needs_history_is_replayed_when_its_client_leaves_the_wildcard(
    harness: HubHarness,
) -> None:
    """Its own log holds less than that of all markets."""
    client = harness.client("trades:*", "trades:SOL")
    harness.hub.pause(client.cursor)
    harness.publish(*range(1, 11), slab="SOL")
    assert harness.hub.unsubscribe(client.cursor, channel("trades:*")) == [harness.log()]


def test_clients_of_all_markets_count_under_a_limit_of_their_own() -> None:
    """They count as one market more, and not on each of them."""
    harness = HubHarness(per_slab=1, wildcards=2)
    harness.client("price:*", "trades:*")
    harness.client("trades:*")
    harness.client("trades:SOL")
    assert harness.limits.clients == {"*": 2, "SOL": 1}
    with pytest.raises(Exception, match="client limit") as refused:
        harness.hub.subscribe(Client(harness.hub).cursor, channel("price:*"), Start())
    assert getattr(refused.value, "code", None) == "slab_limit"


def test_clients_of_all_markets_share_the_work(harness: HubHarness) -> None:
    """They are one group, whatever they have started with and follow by name."""
    harness.publish(1, kind="price", slab="SOL")
    harness.client("price:*")
    harness.client("price:*", "price:SOL")
    harness.client("price:SOL", "price:*")
    (group,) = harness.hub.groups
    assert len(group.members) == 3


def test_prices_of_a_wildcard_are_conflated_per_market(harness: HubHarness) -> None:
    """One per window and market; the last is never withheld."""
    client = harness.client("price:*")
    harness.publish(1, 2, 3, kind="price", slab="SOL")
    harness.publish(4, kind="price", slab="BTC")
    harness.flush()
    assert client.seqs == [1, 4]
    harness.now += 0.5
    harness.flush()
    assert client.seqs == [3]


def test_a_forgotten_market_leaves_the_wildcard(harness: HubHarness) -> None:
    """A client that comes later gets no price of it."""
    harness.publish(1, kind="price", slab="SOL")
    harness.publish(2, kind="price", slab="BTC")
    harness.book.forget_before(2)
    assert harness.client("price:*").seqs == [2]


def test_a_price_of_a_replaced_stream_does_not_come_back_when_its_window_ends(
    harness: HubHarness,
) -> None:
    """It waited for the end of the window when the stream was replaced."""
    client = harness.client("price:*")
    harness.publish(1, 2, kind="price")
    harness.book.begin("f", 0, first_seq=1, complete=True)
    harness.publish(3, kind="price")
    harness.flush()
    harness.now += 1.0
    harness.flush()
    assert client.seqs == [3]


def test_a_market_that_is_still_read_by_itself_goes_on_when_its_client_leaves_all(
    harness: HubHarness,
) -> None:
    """The wildcard came and went before a flush."""
    client = harness.client("trades:SOL")
    harness.publish(1)
    harness.hub.subscribe(client.cursor, channel("trades:*"), Start())
    harness.publish(2)
    harness.hub.unsubscribe(client.cursor, channel("trades:*"))
    harness.flush()
    assert client.seqs == [1, 2]


def test_the_start_of_a_client_of_all_markets_takes_several_turns() -> None:
    """Each price comes once; one that changes meanwhile is no snapshot."""
    harness = HubHarness(turn_bytes=500)
    for seq in range(1, 31):
        harness.publish(seq, kind="price", slab=f"M{seq}")
    client = Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("price:*"), Start())
    harness.step = 0.01
    assert harness.hub.flush()
    for slab in ("M1", "M30"):
        harness.publish(99 if slab == "M1" else 100, kind="price", slab=slab)
    harness.flush()
    got = [(one["seq"], "snapshot" in one) for one in client.got]
    assert got == [*((seq, True) for seq in range(1, 30)), (99, False), (100, False)]


def test_nothing_is_left_of_a_client_of_all_markets(harness: HubHarness) -> None:
    """It goes while it is still at its start."""
    harness.publish(1, kind="price")
    client = Client(harness.hub)
    harness.hub.subscribe(client.cursor, channel("price:*"), Start())
    harness.hub.remove(client.cursor)
    harness.flush()
    assert harness.limits.clients == {}
    assert not any(log.followers for log in harness.book.all_logs())
