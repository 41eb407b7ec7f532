"""Sessions: a client's requests, and the one final reply to each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.followers import Cursor, TrySend
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.ports import Verify
from percolator.fanout.session import (
    AUTH_SECONDS,
    FLOOD_SECONDS,
    ClientSession,
    SessionContext,
)
from percolator.model import closes
from percolator.model.channel import Channel
from percolator.model.messages import ClientLimits
from tests.unit.fanout.harness import HubHarness
from tests.unit.wire import Message, read_messages

MAX_CHANNELS = 200
WALL_MS = 1_700_000_000_000
FINAL = {"subscribed", "unsubscribed", "pong", "authenticated", "error"}


class Wire:
    """A connection that records the calls it gets."""

    address = "192.0.2.1"

    def __init__(self) -> None:
        self.try_send: TrySend | None = None
        self.sent: list[Message] = []
        self.replied: list[Message] = []
        self.closed: list[closes.Close] = []
        self.ends: list[tuple[float, closes.Close]] = []
        self.bytes = 0

    def send(self, data: bytes) -> None:
        """Record frames from the hub."""
        self.sent += read_messages(data)
        self.bytes += len(data)

    def reply(self, data: bytes) -> None:
        """Record an answer, which is never empty."""
        assert data
        self.replied += read_messages(data)
        self.bytes += len(data)

    def close(self, close: closes.Close) -> None:
        """Record the close."""
        self.closed.append(close)

    def terminate(self) -> None:
        """Record an end without a close frame."""

    def end_at(self, time: float, close: closes.Close) -> None:
        """Record the time of a later end."""
        self.ends.append((time, close))


@dataclass(frozen=True)
class Grant:
    """What a token allows: the channels that it names, until a time in Unix seconds."""

    channels: tuple[str, ...]
    expires: float = WALL_MS / 1_000 + 60

    def covers(self, channel: Channel) -> bool:
        """Whether it names the channel."""
        return channel.name in self.channels


@dataclass
class Desk:
    """A hub with sessions on it."""

    harness: HubHarness = field(default_factory=HubHarness)
    rate: float = 0
    replay_limit: int = 0
    heartbeat_interval: float = 0
    stale_since: int | None = None
    backfills: list[tuple[Cursor, list[LosslessLog], int | None, str]] = field(default_factory=list)

    def client(
        self, grants: Mapping[str, Grant] | None = None, token: str | None = None
    ) -> "Client":
        """Return a connected client; with `grants`, tokens are required."""
        verify = grants.get if grants is not None else None
        return Client(self, verify, token)

    def beats(self, client: "Client", *times: float, on_clock: bool = False) -> list[Message]:
        """Return what a client is sent at some times, in seconds from now or on the clock."""
        start = 0.0 if on_clock else self.harness.now
        for time in times:
            self.harness.now = start + time
            client.session.beat(self.harness.now)
        return client.taken()

    def context(self) -> SessionContext:
        """Return what all sessions share."""
        return SessionContext(
            hub=self.harness.hub,
            stats=self.harness.stats,
            clock=lambda: self.harness.now,
            wall=lambda: WALL_MS,
            limits=ClientLimits(4_096, self.rate, 3, MAX_CHANNELS, self.replay_limit),
            heartbeat_interval=self.heartbeat_interval,
            stale_since=lambda: self.stale_since,
            replayer=lambda *asked: self.backfills.append(asked),
        )


class Client:
    """A client and its session."""

    def __init__(self, desk: Desk, verify: Verify | None, token: str | None) -> None:
        self.wire = Wire()
        self.session = ClientSession(desk.context(), self.wire, verify, token)
        self.session.opened()
        self.greeting, *self.welcome = self.taken()

    def ask(self, **fields: object) -> list[Message]:
        """Send a message as JSON; return the answers."""
        return self.send(json.dumps(fields).encode())

    def send(self, data: bytes, *, text: bool = True) -> list[Message]:
        """Send any message; return the answers."""
        self.session.received(data, text=text)
        return self.taken()

    def taken(self) -> list[Message]:
        """Return the replies since the last call."""
        replied, self.wire.replied = self.wire.replied, []
        return replied

    @property
    def seqs(self) -> list[int]:
        """Return the seqs of the events that it was sent."""
        return [message["seq"] for message in self.wire.sent]


@pytest.fixture
def desk() -> Desk:
    """A harness without limits."""
    return Desk()


# Requests and replies.


def test_a_client_is_greeted_with_the_position_of_the_gateway(desk: Desk) -> None:
    """The epoch and the seq from which it could resume."""
    desk.harness.publish(7)
    client = desk.client()
    assert client.greeting["type"] == "connected"
    assert (client.greeting["epoch"], client.greeting["seq"]) == ("e", 7)
    assert client.wire.ends == []


def test_the_greeting_says_what_a_client_has_to_keep_to(desk: Desk) -> None:
    """The limits, the interval of heartbeats, and the state of the feed."""
    desk.rate, desk.replay_limit, desk.heartbeat_interval = 0.5, 9, 15
    greeting = desk.client().greeting
    assert greeting["limits"] == {
        "messageBytes": 4_096,
        "messagesPerSecond": 0.5,
        "messageBurst": 3,
        "channels": MAX_CHANNELS,
        "replay": 9,
    }
    assert (greeting["heartbeatMs"], greeting["feed"]) == (15_000, {"state": "live"})
    desk.stale_since = WALL_MS
    assert desk.client().greeting["feed"] == {"state": "stale", "since": WALL_MS}


def test_a_subscription_is_confirmed_before_anything_is_sent(desk: Desk) -> None:
    """Then comes the snapshot, then live events."""
    desk.harness.publish(1, kind="price")
    client = desk.client()
    replies = client.ask(type="subscribe", channels=["price:SOL", "trades:SOL"], id=5)
    assert [(one["type"], one["channels"], one["id"]) for one in replies] == [
        ("subscribed", ["price:SOL", "trades:SOL"], 5)
    ]
    assert client.wire.sent == []
    desk.harness.publish(2)
    desk.harness.flush()
    assert client.seqs == [1, 2]


def test_the_legacy_form_is_handled_like_the_channels(desk: Desk) -> None:
    """All three channels of the slab."""
    for kind in ("price", "trade", "funding"):
        desk.harness.publish(1, kind=kind)
    client = desk.client()
    every = ["price:SOL", "trades:SOL", "funding:SOL"]
    assert client.ask(type="subscribe", slabAddress="SOL") == [
        {"type": "subscribed", "channels": every, "slabAddress": "SOL"}
    ]
    assert client.ask(type="unsubscribe", slabAddress="SOL", id="x") == [
        {"type": "unsubscribed", "channels": every, "slabAddress": "SOL", "id": "x"}
    ]


def test_each_reply_to_the_legacy_form_names_its_slab_address(desk: Desk) -> None:
    """The errors too; a reply to the other form names none."""
    desk.harness = HubHarness(channels=1)
    client = desk.client()
    replies = client.ask(type="subscribe", slabAddress="SOL")
    assert "slabAddress" not in client.ask(type="unsubscribe", channels=["price:SOL"])[0]
    replies += client.ask(type="unsubscribe", slabAddress="SOL")
    replies += client.ask(type="subscribe", slabAddress="SOL", since=-1)
    kinds = ["subscribed", "error", "unsubscribed", "error"]
    assert [one["type"] for one in replies] == kinds
    assert {one["slabAddress"] for one in replies} == {"SOL"}
    client.ask(type="subscribe", channels=["price:SOL"])
    refused = client.ask(type="subscribe", slabAddress="BTC")
    assert [(one["code"], one["slabAddress"]) for one in refused] == [("channel_limit", "BTC")] * 3


def test_a_reply_to_a_subscribe_names_the_channels_without_an_event(desk: Desk) -> None:
    """A symbol in the wrong case is noticed; one that is followed, but was never seen, too."""
    desk.harness.publish(1)
    client = desk.client()
    for _ in range(2):
        (reply,) = client.ask(type="subscribe", channels=["trades:sol", "trades:SOL"])
        assert reply["unknown"] == ["trades:sol"]
    (reply,) = client.ask(type="subscribe", channels=["trades:SOL"])
    assert "unknown" not in reply
    desk.harness.publish(2, slab="sol")
    (reply,) = client.ask(type="subscribe", channels=["trades:sol"])
    assert "unknown" not in reply


def test_a_request_that_partly_succeeds_gets_its_errors_first(desk: Desk) -> None:
    """Then the channels that are followed; each answer carries the id."""
    client = desk.client()
    replies = client.ask(type="subscribe", channels=["price:A:B", "price:SOL", "x"], id=1)
    assert [(one["type"], one.get("channel"), one["id"]) for one in replies] == [
        ("error", "price:A:B", 1),
        ("error", "x", 1),
        ("subscribed", None, 1),
    ]
    assert replies[-1]["channels"] == ["price:SOL"]


def test_a_request_of_which_nothing_succeeds_ends_in_an_error(desk: Desk) -> None:
    """It gets no other answer."""
    client = desk.client()
    assert [one["code"] for one in client.ask(type="subscribe", channels=["x"])] == [
        "invalid_channel"
    ]
    assert [one["code"] for one in client.ask(type="unsubscribe", channels=["price:SOL"])] == [
        "not_subscribed"
    ]


def test_a_channel_that_is_followed_already_is_confirmed_again(desk: Desk) -> None:
    """Subscribing twice is no error."""
    client = desk.client()
    for _ in range(2):
        (reply,) = client.ask(type="subscribe", channels=["price:SOL"])
        assert (reply["type"], reply["channels"]) == ("subscribed", ["price:SOL"])


def test_a_partial_unsubscribe_names_the_channel_that_failed(desk: Desk) -> None:
    """It is the one that was not followed."""
    client = desk.client()
    client.ask(type="subscribe", channels=["price:SOL"])
    replies = client.ask(type="unsubscribe", channels=["trades:SOL", "price:SOL"])
    assert [(one["type"], one.get("channel")) for one in replies] == [
        ("error", "trades:SOL"),
        ("unsubscribed", None),
    ]


def test_a_ping_is_answered_with_the_time(desk: Desk) -> None:
    """In Unix milliseconds."""
    assert desk.client().ask(type="ping", id="a") == [
        {"type": "pong", "timestamp": WALL_MS, "id": "a"}
    ]


@pytest.mark.parametrize(
    ("data", "text", "code"),
    [
        (b"{", True, "invalid_json"),
        (b"{}", True, "invalid_message"),
        (b'{"type":"x"}', True, "unknown_type"),
        (b'{"type":"ping"}', False, "invalid_message"),
    ],
)
def test_an_invalid_message_is_answered(desk: Desk, data: bytes, *, text: bool, code: str) -> None:
    """The connection stays open."""
    client = desk.client()
    assert [one["code"] for one in client.send(data, text=text)] == [code]
    assert client.wire.closed == []


requests = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["subscribe", "unsubscribe", "ping", "auth", "x"]) | st.none(),
        "channels": st.lists(st.sampled_from(["price:A", "trades:A", "funding:B", "x", 5])),
        "slabAddress": st.sampled_from(["A", "B", "-.-", None]),
        "since": st.integers(-1, 9) | st.just({"trades:A": 3}),
        "epoch": st.sampled_from(["e", "f"]),
        "recent": st.integers(-1, 3),
        "token": st.just("t"),
        "id": st.integers(0, 9) | st.just([]),
    },
)


@given(st.lists(requests, max_size=12))
def test_each_request_gets_exactly_one_final_reply(asked: list[dict[str, object]]) -> None:
    """The last of its answers; the others are errors. All of them are counted."""
    desk = Desk(HubHarness(per_slab=1, channels=4))
    desk.harness.client("trades:B")
    client = desk.client()
    before = desk.harness.stats.messages_sent, desk.harness.stats.bytes_sent - client.wire.bytes
    answered = 0
    for request in asked:
        replies = client.ask(**request)
        assert replies[-1]["type"] in FINAL
        assert {one["type"] for one in replies[:-1]} <= {"error"}
        if "id" in request and request["id"] != []:
            assert {one["id"] for one in replies} == {request["id"]}
        answered += len(replies)
    assert desk.harness.stats.messages_sent - before[0] == answered
    assert desk.harness.stats.bytes_sent - before[1] == client.wire.bytes


# Limits.


def test_limits_are_reported_per_channel(desk: Desk) -> None:
    """One error per channel over the limit; the channels within it are followed."""
    desk.harness = HubHarness(channels=1)
    channels = ["price:SOL", "price:A", "trades:B", "trades:SOL"]
    replies = desk.client().ask(type="subscribe", channels=channels)
    assert [(one.get("code"), one.get("channel")) for one in replies] == [
        ("channel_limit", "price:A"),
        ("channel_limit", "trades:B"),
        (None, None),
    ]
    assert replies[-1]["channels"] == ["price:SOL", "trades:SOL"]


def test_a_client_may_follow_as_many_markets_in_the_older_form_as_channels(desk: Desk) -> None:
    """Each market counts as one of its channels; one market more is refused."""
    desk.harness = HubHarness(channels=3)
    client = desk.client()
    replies = [client.ask(type="subscribe", slabAddress=slab) for slab in "ABCD"]
    assert [len(reply[-1].get("channels", ())) for reply in replies] == [3, 3, 3, 0]
    assert {one["code"] for one in replies[-1]} == {"channel_limit"}


def test_a_client_without_a_market_is_closed_if_a_market_was_full(desk: Desk) -> None:
    """It can receive nothing, and takes a place."""
    desk.harness = HubHarness(per_slab=1)
    desk.harness.client("price:SOL")
    client = desk.client()
    replies = client.ask(type="subscribe", channels=["price:SOL"])
    assert [one["code"] for one in replies] == ["slab_limit"]
    assert client.wire.closed == [closes.CLOSE_SLAB]


def test_a_client_that_has_another_market_stays(desk: Desk) -> None:
    """The full market is only an error."""
    desk.harness = HubHarness(per_slab=1)
    desk.harness.client("price:SOL")
    client = desk.client()
    client.ask(type="subscribe", channels=["price:BTC"])
    client.ask(type="subscribe", channels=["price:SOL"])
    assert client.wire.closed == []


def test_a_client_with_an_invalid_request_stays(desk: Desk) -> None:
    """It has no market, but none was full."""
    client = desk.client()
    client.ask(type="subscribe", channels=["x"])
    assert client.wire.closed == []


def test_messages_over_the_rate_are_carried_out_and_the_next_one_waits() -> None:
    """Whether they are valid or not; the wait is as long as the debt."""
    desk = Desk(rate=1)
    client = desk.client()
    for _ in range(3):
        client.ask(type="ping")
        assert client.session.waits_until() is None
    (reply,) = client.ask(type="subscribe", channels=["price:SOL"], id=7)
    assert (reply["type"], client.session.waits_until()) == ("subscribed", 11.0)
    assert client.send(b"{")[0]["code"] == "invalid_json"
    assert client.session.waits_until() == 12.0
    desk.harness.now = 12.0
    assert client.session.waits_until() is None
    assert client.wire.closed == []


def test_a_flood_that_lasts_is_closed() -> None:
    """After ten seconds in which the client was never within its rate."""
    desk = Desk(rate=1)
    client = desk.client()
    for _ in range(4):
        client.ask(type="ping")
    while not client.wire.closed:
        until = client.session.waits_until()
        if until is not None:
            desk.harness.now = until
        client.ask(type="ping")
        client.session.waits_until()
    assert client.wire.closed == [closes.CLOSE_RATE]
    assert desk.harness.now == 10.0 + FLOOD_SECONDS


def test_a_wait_is_not_longer_than_a_flood_may_last() -> None:
    """A client that has then sent nothing more stays; its next message over the rate ends it."""
    desk = Desk(rate=1)
    client = desk.client()
    for _ in range(40):
        client.session.charge_frame()
    assert client.session.waits_until() == 10.0 + FLOOD_SECONDS
    desk.harness.now = 10.0 + FLOOD_SECONDS
    assert client.wire.closed == []
    client.ask(type="ping")
    assert client.session.waits_until() is None
    assert client.wire.closed == [closes.CLOSE_RATE]


def test_a_client_that_slows_down_is_not_closed() -> None:
    """It may exceed its rate again and again, if it is within it in between."""
    desk = Desk(rate=1)
    client = desk.client()
    for _ in range(10):
        for _ in range(4):
            client.ask(type="ping")
        assert client.session.waits_until() == desk.harness.now + 1
        desk.harness.now += 5
    assert client.wire.closed == []


def test_a_message_is_charged_for_the_channels_that_it_names() -> None:
    """Fifty of them for one message."""
    client = Desk(rate=1).client()
    waits = []
    for count in (100, 50, 100):
        client.ask(type="subscribe", channels=[f"price:M{number}" for number in range(count)])
        waits.append(client.session.waits_until())
    assert waits == [None, None, 12.0]


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe"])
def test_a_reply_has_a_limited_number_of_errors(desk: Desk, kind: str) -> None:
    """The others are counted, before the reply with what succeeded."""
    client = desk.client()
    client.ask(type="subscribe", channels=["price:SOL"])
    *errors, rest, final = client.ask(
        type=kind, channels=[*(f"bad{number}" for number in range(25)), "price:SOL"], id=1
    )
    assert [error["channel"] for error in errors] == [f"bad{number}" for number in range(10)]
    assert (rest["code"], rest["count"], rest["id"]) == ("more_errors", 15, 1)
    assert final["type"] == f"{kind}d"


def test_a_message_that_names_too_many_channels_is_one_error(desk: Desk) -> None:
    """Valid or not; none of them is subscribed."""
    client = desk.client()
    (error,) = client.ask(
        type="subscribe", channels=[f"price:M{number}" for number in range(MAX_CHANNELS + 1)], id=1
    )
    assert (error["code"], error["id"]) == ("channel_limit", 1)
    assert "channel" not in error
    assert desk.harness.hub.book.logs == {}


def test_recent_events_count_as_replayed(desk: Desk) -> None:
    """A message gets no more of them than a resume would."""
    desk = Desk(replay_limit=7)
    client = desk.client()
    for seq in range(1, 21):
        desk.harness.publish(seq, slab="ABCD"[seq % 4])
    client.ask(type="subscribe", channels=[f"trades:{slab}" for slab in "ABCD"], recent=5)
    desk.harness.flush()
    assert len(client.wire.sent) == 7


def test_pings_and_fragments_count_as_messages() -> None:
    """They cost as much; there is nothing to answer."""
    client = Desk(rate=1).client()
    for _ in range(5):
        client.session.charge_frame()
    assert client.session.waits_until() == 12.0
    assert client.wire.replied == []


# The feed, and heartbeats.


def test_a_client_is_told_each_change_of_the_feed_once(desk: Desk) -> None:
    """With the time of the last sign of life, and with the seq when it is live again."""
    desk.harness.publish(7)
    client = desk.client()
    told = []
    for stale_since in (None, 5, 5, None, None, 8):
        desk.stale_since = stale_since
        client.session.tell_feed()
        told += client.taken()
    assert told == [
        {"type": "feed", "state": "stale", "since": 5},
        {"type": "feed", "state": "live", "seq": 7},
        {"type": "feed", "state": "stale", "since": 8},
    ]


@pytest.mark.parametrize(
    ("meanwhile", "told"), [((5, None), []), ((5,), [5]), ((5, None, 9), [9]), ((), [])]
)
def test_a_client_that_is_behind_is_told_the_state_of_the_feed_when_it_has_drained(
    desk: Desk, meanwhile: tuple[int | None, ...], told: list[int]
) -> None:
    """Only the last one, and only if it was told otherwise."""
    client = desk.client()
    client.session.paused()
    for desk.stale_since in meanwhile:
        client.session.tell_feed()
    assert client.taken() == []
    client.session.resumed()
    assert [message["since"] for message in client.taken()] == told


def test_a_client_that_is_sent_nothing_gets_a_heartbeat_per_interval(desk: Desk) -> None:
    """With the seq up to which it has everything."""
    desk.heartbeat_interval = 15
    desk.harness.publish(7, slab="BTC")
    client = desk.client()
    assert (
        desk.beats(client, 14.75, 15.0, 15.25, 29.75, 30.0)
        == [{"type": "heartbeat", "timestamp": WALL_MS, "seq": 7}] * 2
    )


def test_any_message_puts_a_heartbeat_off(desk: Desk) -> None:
    """A reply, an event, or an event that it got with its group, also after it has left it."""
    desk.heartbeat_interval = 15
    client, other = desk.client(), desk.client()
    desk.harness.now = 20.0
    for each in (client, other):
        each.ask(type="subscribe", channels=["trades:SOL"])
    desk.harness.flush()
    desk.harness.now = 30.0
    desk.harness.publish(1)
    desk.harness.flush()
    assert desk.beats(client, 44.75, on_clock=True) == []
    client.session.paused()
    client.session.resumed()
    desk.harness.flush()
    assert desk.beats(client, 44.75, on_clock=True) == []
    assert len(desk.beats(client, 45.0, on_clock=True)) == 1


@pytest.mark.parametrize("reason", ["off", "paused", "not flushed", "ahead", "replaying"])
def test_a_client_that_has_not_got_everything_gets_no_heartbeat(desk: Desk, reason: str) -> None:
    """It might resume from a seq before which it lacks something."""
    desk.heartbeat_interval = 0 if reason == "off" else 15
    desk.harness.publish(*range(1, 9))
    client = desk.client()
    since = {"ahead": 99, "replaying": 1}.get(reason, 8)
    client.ask(type="subscribe", channels=["trades:SOL"], since=since, epoch="e")
    desk.harness.flush()
    if reason == "paused":
        client.session.paused()
    elif reason == "not flushed":
        desk.harness.publish(9)
    assert desk.beats(client, 100.0) == []


def test_a_resume_from_a_heartbeat_gets_what_came_after_it(desk: Desk) -> None:
    """No event twice, and none is missing, however far the seq is from the channel's last event."""
    desk.heartbeat_interval = 15
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:SOL"])
    desk.harness.publish(1, 2)
    desk.harness.publish(*range(3, 9), slab="BTC")
    desk.harness.flush()
    ((heartbeat),) = desk.beats(client, 20.0)
    assert (client.seqs, heartbeat["seq"]) == ([1, 2], 8)
    desk.harness.publish(9, 10)
    back = desk.client()
    back.ask(type="subscribe", channels=["trades:SOL"], since=heartbeat["seq"], epoch="e")
    desk.harness.flush()
    assert back.seqs == [9, 10]
    assert [message["type"] for message in back.wire.sent] == ["trade", "trade"]


# Its place in the hub.


def test_a_slow_client_is_behind_until_it_has_drained(desk: Desk) -> None:
    """Then it catches up, and that is counted; a repeated call changes nothing."""
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:SOL"])
    desk.harness.flush()
    client.session.paused()
    desk.harness.publish(1)
    desk.harness.flush()
    assert (client.seqs, desk.harness.hub.paused) == ([], 1)
    for _ in range(2):
        client.session.resumed()
    desk.harness.flush()
    assert (client.seqs, desk.harness.hub.paused) == ([1], 0)
    assert desk.harness.stats.catch_ups == 1


def test_a_client_that_has_disconnected_leaves_nothing(desk: Desk) -> None:
    """No count, no follower, no log."""
    client = desk.client()
    client.ask(type="subscribe", slabAddress="SOL")
    client.session.paused()
    client.session.closed()
    desk.harness.flush()
    assert (desk.harness.limits.clients, desk.harness.hub.book.logs, desk.harness.hub.paused) == (
        {},
        {},
        0,
    )


# Resuming.


def test_a_resume_from_memory_is_counted(desk: Desk) -> None:
    """It needs no fetch from the stream."""
    desk.harness.publish(1, 2)
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:SOL"], since=1, epoch="e")
    desk.harness.flush()
    assert client.seqs == [2]
    assert (desk.harness.stats.resumed, desk.backfills) == (1, [])


def test_each_channel_resumes_from_its_own_seq(desk: Desk) -> None:
    """A channel that the map does not name starts with live events."""
    desk.harness.publish(1, 2)
    desk.harness.publish(3, 4, slab="BTC")
    client = desk.client()
    client.ask(
        type="subscribe",
        channels=["trades:SOL", "trades:BTC"],
        since={"trades:SOL": 1},
        epoch="e",
    )
    desk.harness.flush()
    assert client.seqs == [2]


def test_a_request_may_ask_for_recent_events(desk: Desk) -> None:
    """The same number for each channel."""
    desk.harness.publish(1, 2, 3)
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:SOL"], recent=2)
    desk.harness.flush()
    assert client.seqs == [2, 3]


def test_events_that_memory_does_not_hold_are_fetched_after_the_reply(desk: Desk) -> None:
    """All such channels of a request together, within what is left of its limit."""
    desk.replay_limit = 12
    for slab in "AB":
        desk.harness.publish(*range(1, 8), slab=slab)
    desk.harness.publish(8, 9, slab="C")
    client = desk.client()
    channels = ["trades:A", "trades:B", "trades:C"]
    replies = client.ask(type="subscribe", channels=channels, since=0, epoch="e")
    assert [one["type"] for one in replies] == ["subscribed"]
    ((_, logs, left, address),) = desk.backfills
    assert address == client.wire.address
    assert [log.channel.name for log in logs] == ["trades:A", "trades:B"]
    assert left == 0
    assert desk.harness.stats.resumed == 1


def test_a_request_replays_no_more_than_its_limit(desk: Desk) -> None:
    """Over all its channels; past that, a gap."""
    desk.replay_limit = 3
    desk.harness.publish(1, 2, slab="A")
    desk.harness.publish(3, 4, slab="B")
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:A", "trades:B"], since=0, epoch="e")
    desk.harness.flush()
    got = [one.get("seq", one["type"]) for one in client.wire.sent]
    assert sorted(map(str, got)) == ["1", "2", "4", "gap"]


# Tokens.


def test_a_client_that_sends_a_token_is_told_if_auth_is_disabled(desk: Desk) -> None:
    """Everything is readable all the same."""
    client = desk.client()
    (reply,) = client.ask(type="auth", token="any", id=1)
    assert (reply["type"], reply["code"], reply["id"]) == ("error", "auth_disabled", 1)
    assert client.ask(type="subscribe", channels=["price:SOL"])[0]["type"] == "subscribed"


def test_a_client_has_some_seconds_to_authenticate(desk: Desk) -> None:
    """Until then it reads nothing."""
    client = desk.client(grants={})
    assert client.welcome == []
    assert client.wire.ends == [(10.0 + AUTH_SECONDS, closes.CLOSE_UNAUTHENTICATED)]
    (refused,) = client.ask(type="subscribe", channels=["price:SOL"])
    assert (refused["code"], refused["channel"]) == ("unauthorized", "price:SOL")


def test_a_token_opens_its_channels_until_it_expires(desk: Desk) -> None:
    """And no others."""
    client = desk.client(grants={"good": Grant(("price:SOL",))})
    assert client.ask(type="auth", token="good", id=2) == [
        {"type": "authenticated", "channels": ["price:SOL"], "id": 2}
    ]
    assert client.wire.ends[-1] == (10.0 + 60, closes.CLOSE_EXPIRED)
    replies = client.ask(type="subscribe", channels=["price:SOL", "trades:SOL"])
    assert [(one["type"], one.get("code"), one.get("channel")) for one in replies] == [
        ("error", "unauthorized", "trades:SOL"),
        ("subscribed", None, None),
    ]


def test_a_token_in_the_upgrade_is_in_force_on_clock(desk: Desk) -> None:
    """The answer follows the greeting."""
    client = desk.client(grants={"good": Grant(("price:SOL",))}, token="good")
    assert client.welcome == [{"type": "authenticated", "channels": ["price:SOL"]}]


def test_an_invalid_token_opens_nothing(desk: Desk) -> None:
    """Nor does it extend the deadline."""
    client = desk.client(grants={}, token="bad")
    assert [one["code"] for one in client.welcome] == ["unauthorized"]
    (refused,) = client.ask(type="auth", token="worse", id=3)
    assert (refused["code"], refused["id"]) == ("unauthorized", 3)
    assert [close for _, close in client.wire.ends] == [closes.CLOSE_UNAUTHENTICATED]


def test_a_second_token_replaces_the_first(desk: Desk) -> None:
    """Channels that it does not cover are withdrawn, each with an error that names it."""
    grants = {
        "wide": Grant(("price:SOL", "trades:SOL", "trades:A")),
        "narrow": Grant(("price:SOL",), expires=WALL_MS / 1_000 + 5),
    }
    desk.harness.publish(*range(1, 8), slab="A")
    client = desk.client(grants, token="wide")
    client.ask(type="subscribe", channels=["price:SOL", "trades:SOL"])
    client.ask(type="subscribe", channels=["trades:A"], since=0, epoch="e")
    replies = client.ask(type="auth", token="narrow")
    assert [(one["type"], one.get("channel")) for one in replies] == [
        ("error", "trades:SOL"),
        ("error", "trades:A"),
        ("authenticated", None),
    ]
    assert client.wire.ends[-1] == (15.0, closes.CLOSE_EXPIRED)
    desk.harness.publish(8)
    desk.harness.publish(9, kind="price")
    desk.harness.flush()
    assert client.seqs == [9]


def test_a_client_that_leaves_all_markets_is_replayed_what_its_own_market_lacks(
    desk: Desk,
) -> None:
    """Up to the replay limit, like a resume."""
    desk.replay_limit = 7
    client = desk.client()
    client.ask(type="subscribe", channels=["trades:*", "trades:SOL"])
    client.session.paused()
    desk.harness.publish(*range(1, 11))
    client.ask(type="unsubscribe", channels=["trades:*"])
    ((_, logs, limit, address),) = desk.backfills
    assert ([log.channel.name for log in logs], limit, address) == (
        ["trades:SOL"],
        7,
        Wire.address,
    )
