"""The views: what the routes show, as plain data."""

from dataclasses import dataclass

import pytest

from percolator.app.feed_watch import STALE_SECONDS
from percolator.app.views import (
    Data,
    health_view,
    market_view,
    stats_view,
)
from percolator.config.settings import Settings
from percolator.gateway.places import Places
from percolator.jetstream.trouble import NOT_STARTED
from percolator.model.channel import Channel
from tests.channels import channel
from tests.unit.fanout.harness import HubHarness

WALL_MS = 1_700_000_000_000


@dataclass
class Feed:
    """The state of a healthy feed."""

    connected: bool = True
    seq: int = 7
    stream_seq: int = 9
    lag: int = 2
    restarts: int = 0
    trouble: str = ""
    silent_for: float = 0.25
    loaded: bool = True


def everything(_channel: Channel) -> bool:
    """Return True: all channels may be read."""
    return True


@pytest.fixture
def harness() -> HubHarness:
    """Return a hub with two markets, one of them followed."""
    harness = HubHarness()
    for seq, kind in enumerate(("price", "trade", "funding"), start=1):
        harness.publish(seq, kind=kind)
    harness.publish(4, slab="BTC")
    harness.publish(5, slab="BTC")
    harness.client("price:SOL", "trades:NEW")
    return harness


def stats_of(harness: HubHarness, settings: Settings | None = None) -> Data:
    """`/ws/stats` with two connections, a minute and a half after the start."""
    admission = Places(connections=0, per_address=0)
    for address in "ab":
        admission.admit(address)
    return stats_view(
        settings=settings or Settings(),
        stats=harness.stats,
        hub=harness.hub,
        admission=admission,
        slabs=harness.limits,
        feed=Feed(),
        now=90.04,
    )


def test_the_given_fields_stand_first_under_their_given_names(harness: HubHarness) -> None:
    """With their given types."""
    shown = stats_of(harness)
    given = ["totalConnections", "connectionsPerSlab", "messagesPerSec", "bytesPerSec", "limits"]
    assert list(shown)[:5] == given
    assert list(shown["limits"])[:3] == [
        "maxGlobalConnections",
        "maxConnectionsPerSlab",
        "maxConnectionsPerIp",
    ]
    assert shown["totalConnections"] == 2
    assert shown["connectionsPerSlab"] == {"NEW": 1, "SOL": 1}
    assert list(shown["limits"].values())[:3] == [1000, 100, 5]


def test_messages_and_bytes_are_sent_plus_received(harness: HubHarness) -> None:
    """Sent and received are also shown apart, per second."""
    stats = harness.stats
    stats.messages_sent, stats.messages_received = 900, 450
    stats.bytes_sent, stats.bytes_received = 90_000, 9_000
    stats.events["price"] = 45
    shown = stats_of(harness)
    names = ("messagesSentPerSec", "messagesReceivedPerSec", "messagesPerSec")
    assert [shown[name] for name in names] == [10.0, 5.0, 14.99]
    names = ("bytesSentPerSec", "bytesReceivedPerSec", "bytesPerSec")
    assert [round(shown[name]) for name in names] == [1000, 100, 1100]
    assert shown["eventsPerSec"] == 0.5


def test_the_added_fields_say_what_they_say(harness: HubHarness) -> None:
    """Counts by reason and code, the uptime, and how far behind NATS we are."""
    stats = harness.stats
    stats.rejected.update(["invalid_json", "invalid_json", "too_large"])
    stats.refused["too many connections"] += 1
    stats.closed.update([1008, 1000, 1008])
    shown = stats_of(harness)
    assert shown["eventsRejected"] == 3
    assert shown["rejectedConnections"] == {"too many connections": 1}
    assert shown["closed"] == {"1000": 1, "1008": 2}
    assert shown["clientsBehind"] == 0
    assert shown["uptimeSeconds"] == 90.0
    assert shown["nats"] == {"connected": True, "streamSeq": 9, "lag": 2}


def test_the_limits_are_those_in_force(harness: HubHarness) -> None:
    """A load test reads them there."""
    settings = Settings(max_connections=7, max_channels_per_client=3, subscribe_timeout=2.5)
    limits = stats_of(harness, settings)["limits"]
    assert limits["maxGlobalConnections"] == 7
    assert limits["maxChannelsPerClient"] == 3
    assert limits["subscribeTimeoutSeconds"] == 2.5


def test_a_gateway_is_well_that_has_its_state_and_a_living_feed() -> None:
    """There is nothing to explain."""
    well, shown = health_view(Feed(), WALL_MS, draining=False)
    assert well
    assert shown == {
        "status": "ok",
        "seq": 7,
        "checks": {"state": {"ok": True}, "nats": {"ok": True}, "feed": {"ok": True}},
    }


def test_the_trouble_of_a_feed_that_reads_all_the_same_is_shown() -> None:
    """It reads by page, without a consumer, so the gateway is ready."""
    well, shown = health_view(Feed(trouble="no consumer"), WALL_MS, draining=False)
    assert well
    assert shown["checks"]["feed"] == {"ok": True, "trouble": "no consumer"}


def test_a_feed_that_has_not_started_is_not_in_trouble() -> None:
    """It has had no time for it."""
    starting = Feed(loaded=False, trouble=NOT_STARTED)
    _, shown = health_view(starting, WALL_MS, draining=False)
    assert shown["checks"]["state"]["reason"].endswith("from the stream")


@pytest.mark.parametrize(
    ("feed", "check", "reason"),
    [
        (Feed(loaded=False), "state", "still being read"),
        (Feed(loaded=False, trouble="refused"), "state", "read from the stream: refused"),
        (Feed(connected=False), "nats", "not connected"),
        (Feed(connected=False, trouble="nothing answers"), "nats", "nothing answers"),
        (Feed(silent_for=STALE_SECONDS + 1), "feed", "no sign of life"),
        (Feed(silent_for=STALE_SECONDS + 1, trouble="it is frozen"), "feed", "it is frozen"),
    ],
)
def test_what_is_not_well_says_why(feed: Feed, check: str, reason: str) -> None:
    """One failed check is enough."""
    well, shown = health_view(feed, WALL_MS, draining=False)
    assert not well
    assert shown["status"] == "unavailable"
    assert [name for name, one in shown["checks"].items() if not one["ok"]] == [check]
    assert reason in shown["checks"][check]["reason"]


def test_a_gateway_that_shuts_down_is_not_well() -> None:
    """So a balancer sends it no more clients."""
    well, shown = health_view(Feed(), WALL_MS, draining=True)
    assert not well
    assert "shutting down" in shown["checks"]["serving"]["reason"]


def test_a_feed_that_is_stale_says_since_when() -> None:
    """In Unix milliseconds."""
    _, shown = health_view(Feed(silent_for=12.5), WALL_MS, draining=False)
    assert shown["checks"]["feed"]["since"] == WALL_MS - 12_500


def test_a_feed_is_not_stale_for_a_short_silence() -> None:
    """A heartbeat may be late."""
    well, shown = health_view(Feed(silent_for=STALE_SECONDS), WALL_MS, draining=False)
    assert well
    assert "since" not in shown["checks"]["feed"]


def test_a_market_shows_the_newest_of_everything(harness: HubHarness) -> None:
    """Each with seq and timestamp; unknown values are null."""
    assert market_view(harness.hub.book, "SOL", everything) == {
        "slab": "SOL",
        "price": {"price": 1.0, "markPrice": None, "indexPrice": None, "openInterest": None}
        | {"timestamp": 1, "seq": 1},
        "funding": {"rate": "3", "intervalHours": None, "nextFundingTime": None}
        | {"timestamp": 3, "seq": 3},
        "trade": {"side": "long", "size": "2", "price": 1.5, "timestamp": 2, "seq": 2},
    }


@pytest.mark.parametrize("slab", ["NEW", "NONE", ""])
def test_a_market_without_events_is_none(harness: HubHarness, slab: str) -> None:
    """Even if a client is subscribed to it."""
    assert market_view(harness.hub.book, slab, everything) is None


def test_a_price_that_conflation_holds_back_is_shown_already(harness: HubHarness) -> None:
    """The state is a function of the stream alone, not of the windows."""
    for seq in (6, 7):
        harness.publish(seq, kind="price")
    shown = market_view(harness.hub.book, "SOL", everything)
    assert shown is not None
    assert shown["price"]["seq"] == 7


def test_only_readable_channels_are_shown(harness: HubHarness) -> None:
    """A market without any is None."""
    allowed = {channel("price:SOL")}
    shown = market_view(harness.hub.book, "SOL", allowed.__contains__)
    assert shown is not None
    assert list(shown) == ["slab", "price"]
    assert market_view(harness.hub.book, "BTC", allowed.__contains__) is None
