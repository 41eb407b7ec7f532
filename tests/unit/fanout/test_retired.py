"""Retired markets: their events are delivered, and they begin with no snapshot."""

import pytest

from percolator.errors import RequestError
from percolator.fanout.reader import Start
from tests.channels import channel
from tests.unit.fanout.harness import Client, HubHarness

SNAPSHOTS = ("price:SOL", "funding:SOL")


@pytest.fixture
def harness() -> HubHarness:
    """Return a hub with a retired market, SOL, and another one, BTC, with an event per kind."""
    harness = HubHarness(per_slab=1)
    for slab, first in (("BTC", 1), ("SOL", 11)):
        for seq, kind in enumerate(("price", "funding", "trade", "market"), start=first):
            harness.publish(seq, kind=kind, slab=slab)
    harness.describe(20, "retired")
    return harness


def seen(client: Client) -> list[tuple[str, str, int, bool]]:
    """Return kind, market, seq and whether it is a snapshot of each message since the last call."""
    return [
        (one["type"], one["slab"], one["seq"], one.get("snapshot", False)) for one in client.got
    ]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_channel_of_a_retired_market_begins_without_a_snapshot(
    harness: HubHarness, name: str
) -> None:
    """Events that are still to come are delivered."""
    client = harness.client(name)
    assert seen(client) == []
    kind = channel(name).kind.name
    harness.publish(21, kind=kind)
    harness.flush()
    assert seen(client) == [(kind, "SOL", 21, False)]


def test_a_client_that_asks_by_name_is_told_that_a_market_is_retired(harness: HubHarness) -> None:
    """So it need not wait for a price."""
    client = harness.client("market:SOL")
    (message,) = client.got
    assert (message["status"], message["seq"], message["snapshot"]) == ("retired", 20, True)


@pytest.mark.parametrize(
    ("name", "first"), [("price:*", "price"), ("funding:*", "funding"), ("market:*", "market")]
)
def test_a_wildcard_begins_without_retired_markets(
    harness: HubHarness, name: str, first: str
) -> None:
    """What they are too; but their events are delivered."""
    client = harness.client(name)
    assert [(kind, slab, snapshot) for kind, slab, _, snapshot in seen(client)] == [
        (first, "BTC", True)
    ]
    harness.publish(21, kind=first)
    harness.flush()
    assert seen(client) == [(first, "SOL", 21, False)]


def test_followers_are_told_that_a_market_retires(harness: HubHarness) -> None:
    """By name and through the wildcard."""
    clients = [harness.client("market:BTC"), harness.client("market:*")]
    for client in clients:
        assert seen(client) == [("market", "BTC", 4, True)]
    harness.describe(21, "retired", "BTC")
    harness.flush()
    for client in clients:
        assert seen(client) == [("market", "BTC", 21, False)]


def test_a_client_that_has_not_got_its_snapshot_yet_gets_none(harness: HubHarness) -> None:
    """It was behind when the market retired."""
    client = Client(harness.hub)
    harness.hub.pause(client.cursor)
    for name in ("price:BTC", "funding:BTC", "trades:BTC"):
        harness.hub.subscribe(client.cursor, channel(name), Start())
    harness.describe(21, "retired", "BTC")
    harness.hub.resume(client.cursor)
    harness.flush()
    assert seen(client) == []
    harness.publish(22, kind="price", slab="BTC")
    harness.flush()
    assert seen(client) == [("price", "BTC", 22, False)]


def test_past_trades_of_a_retired_market_can_be_asked_for(harness: HubHarness) -> None:
    """They are history, and no snapshot."""
    recent = harness.client("trades:SOL", start=Start(recent=5))
    assert seen(recent) == [("trade", "SOL", 13, False)]
    resumed = harness.client("trades:SOL", "funding:SOL", start=Start(0, "e"))
    assert seen(resumed) == [("funding", "SOL", 12, False), ("trade", "SOL", 13, False)]


def test_an_active_market_has_everything_again(harness: HubHarness) -> None:
    """Also one that was paused in between."""
    for seq, status in ((21, "paused"), (22, "active")):
        harness.describe(seq, status)
        client = Client(harness.hub)
        for name in SNAPSHOTS:
            harness.hub.subscribe(client.cursor, channel(name), Start())
        harness.flush()
        assert seen(client) == [("price", "SOL", 11, True), ("funding", "SOL", 12, True)]
        harness.hub.remove(client.cursor)
    assert {one["slab"] for one in harness.client("price:*").got} == {"SOL", "BTC"}


def test_a_retired_market_has_no_limit_until_it_is_active_again(harness: HubHarness) -> None:
    """Its clients count again then, and none of them is disconnected."""
    for _ in range(3):
        harness.client("price:SOL")
    harness.client("price:BTC")
    assert harness.limits.limited == {"BTC": 1}
    harness.describe(21, "active")
    assert harness.limits.limited == {"SOL": 3, "BTC": 1}
    with pytest.raises(RequestError, match="limit"):
        harness.client("price:SOL")


def test_a_new_stream_has_no_retired_markets(harness: HubHarness) -> None:
    """Whether or not a client follows what the market was."""
    harness.client("market:SOL")
    harness.describe(21, "retired", "BTC")
    harness.book.begin("new", 0, first_seq=1, complete=True)
    assert harness.book.retired == set()


def test_a_market_is_retired_as_long_as_the_stream_holds_what_it_is(harness: HubHarness) -> None:
    """A gateway that starts now could not know either."""
    harness.publish(21, kind="trade")
    harness.book.forget_before(20)
    assert harness.book.retired == {"SOL"}
    harness.book.forget_before(21)
    assert harness.book.retired == set()
