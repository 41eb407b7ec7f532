"""What clients read of a gateway: every message that it makes, and no other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import MessageError, RequestError
from percolator.model import messages
from percolator.model.channel import Channel
from percolator.model.kinds import FUNDING, PRICE, TRADE, Funding, Price, Trade
from percolator.model.server_messages import (
    MAX_SEQ,
    Authenticated,
    Closing,
    Connected,
    Delivery,
    FeedChange,
    FeedState,
    Heartbeat,
    Limits,
    Missing,
    Pong,
    Refused,
    ServerMessage,
    Subscribed,
    read,
)

SOL = Channel(TRADE, "SOL")
TRADE_SOL = Trade(side="long", size="1", price=1.5, timestamp=7, slab="SOL")
PRICE_SOL = Price(price=1.5, timestamp=7, slab="SOL")
FUNDING_SOL = Funding(rate="0.1", timestamp=7, slab="SOL")


def payload(frame: bytes) -> bytes:
    """Return the payload of a short frame."""
    return frame[2:] if frame[1] < 126 else frame[4:]


NO_LIMITS = Limits(messageBytes=0, messagesPerSecond=0, messageBurst=0, channels=0, replay=0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            messages.connected("e", 5, messages.ClientLimits(), heartbeat_ms=0, stale_since=None),
            Connected(type="connected", epoch="e", seq=5, limits=NO_LIMITS),
        ),
        (
            messages.subscribed([SOL], 1),
            Subscribed(type="subscribed", channels=["trades:SOL"], id=1),
        ),
        (messages.pong(5, None), Pong(type="pong")),
        (messages.closing(1_500), Closing(type="closing", reconnectInMs=1_500)),
        (
            messages.error(RequestError("slab_limit", "full", "trades:SOL"), None),
            Refused(type="error", code="slab_limit", message="full", channel="trades:SOL"),
        ),
        (
            messages.event_message(TRADE_SOL, 5, None),
            Delivery("trades:SOL", 5, None, False, TRADE_SOL),  # noqa: FBT003 - the fields in order
        ),
        (
            messages.event_message(FUNDING_SOL, MAX_SEQ, 0, snapshot=True),
            Delivery(Channel(FUNDING, "SOL").name, MAX_SEQ, 0, True, FUNDING_SOL),  # noqa: FBT003
        ),
        (
            messages.event_message(PRICE_SOL, 5, None),
            Delivery(Channel(PRICE, "SOL").name, 5, None, False, PRICE_SOL),  # noqa: FBT003
        ),
        (messages.unsubscribed([SOL], None), None),
        (messages.authenticated(["*"], "a"), Authenticated(type="authenticated", id="a")),
    ],
)
def test_a_client_reads_what_a_gateway_writes(frame: bytes, message: ServerMessage | None) -> None:
    """Types that no client of ours acts on are ignored."""
    assert read(payload(frame)) == message


def test_a_client_reads_a_gap() -> None:
    """With the epoch of the new stream, if it was replaced."""
    found = read(payload(messages.gap(SOL, 70, 1, "f")))
    assert isinstance(found, Missing)
    assert (found.channel, found.after, found.before, found.epoch) == ("trades:SOL", 70, 1, "f")


LIMITS = {"messageBytes": 512, "messagesPerSecond": 1.5, "messageBurst": 0, "channels": 0}
GREETING = {"type": "connected", "epoch": "e", "seq": 5}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            GREETING
            | {"limits": LIMITS | {"replay": 7}, "heartbeatMs": 15_000}
            | {"feed": {"state": "stale", "since": 9}},
            Connected(
                type="connected",
                epoch="e",
                seq=5,
                limits=Limits(
                    messageBytes=512, messagesPerSecond=1.5, messageBurst=0, channels=0, replay=7
                ),
                heartbeatMs=15_000,
                feed=FeedState(state="stale", since=9),
            ),
        ),
        (
            {"type": "feed", "state": "stale", "since": 9},
            FeedChange(type="feed", state="stale", since=9),
        ),
        ({"type": "feed", "state": "live", "seq": 9}, FeedChange(type="feed", state="live", seq=9)),
        ({"type": "heartbeat", "timestamp": 7, "seq": 9}, Heartbeat(type="heartbeat", seq=9)),
        (
            {"type": "subscribed", "channels": ["price:sol"], "unknown": ["price:sol"]},
            Subscribed(type="subscribed", channels=["price:sol"], unknown=["price:sol"]),
        ),
        (
            {"type": "error", "code": "more_errors", "message": "m", "count": 3, "id": 1},
            Refused(type="error", code="more_errors", message="m", count=3, id=1),
        ),
    ],
)
def test_a_client_reads_what_a_newer_gateway_adds(
    fields: dict[str, object], message: ServerMessage
) -> None:
    """The greeting's limits, the state of the feed, heartbeats, channels without events."""
    assert read(json.dumps(fields)) == message


def test_the_greeting_of_an_older_gateway_has_the_older_limits() -> None:
    """It sends no heartbeats, and nothing about its feed; single limits may be missing too."""
    hello = read(json.dumps(GREETING))
    assert isinstance(hello, Connected)
    assert hello.limits == Limits(
        messageBytes=4_096, messagesPerSecond=10, messageBurst=20, channels=50, replay=10_000
    )
    assert (hello.heartbeatMs, hello.feed) == (0, FeedState(state="live"))
    some = read(json.dumps(GREETING | {"limits": {"channels": 7, "more": 1}}))
    assert isinstance(some, Connected)
    assert (some.limits.channels, some.limits.messageBurst) == (7, 20)


def tried(text: str | bytes) -> ServerMessage | MessageError | None:
    """Read a message; an error is returned."""
    try:
        return read(text)
    except MessageError as error:
        return error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=3,
)
NAMES = ["connected", "subscribed", "gap", "error", "closing", "pong", "trade", "price", "funding"]
NAMES += ["feed", "heartbeat", "authenticated"]
FIELDS = ["epoch", "seq", "prev", "channel", "channels", "from", "to", "code", "message"]
FIELDS += ["reconnectInMs", "slab", "side", "size", "price", "rate", "timestamp", "snapshot"]
FIELDS += ["limits", "heartbeatMs", "feed", "state", "since", "unknown", "id", "count"]


@given(st.sampled_from(NAMES) | JSON, st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_message_is_read_or_refused_with_one_error(name: object, fields: object) -> None:
    """Its numbers are then in range, and its text can be shown."""
    assert isinstance(fields, dict)
    found = tried(json.dumps({"type": name, **fields}))
    if isinstance(found, MessageError):
        assert str(found).isprintable()
    if isinstance(found, Delivery | Connected):
        assert 0 <= found.seq <= MAX_SEQ
    if isinstance(found, Refused):
        assert (found.code + found.message).isprintable()
    if isinstance(found, Closing):
        assert found.reconnectInMs is None or 0 <= found.reconnectInMs <= 60_000


@given(st.text() | st.binary())
def test_any_bytes_are_read_or_refused_with_one_error(text: str | bytes) -> None:
    """Also what is not JSON, or not text."""
    found = tried(text)
    assert found is None or str(found) in {"not JSON", "not an object with a type"}


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000, "-1"])
def test_extreme_json_is_refused(text: str) -> None:
    """Nesting and digits are bounded."""
    assert isinstance(tried(text), MessageError)


@pytest.mark.parametrize(
    ("wait", "kept"),
    [("1e12", 60_000), ("-1", 0), ("0.5", 0.5), ("9" * 400, 60_000), ("1e999", None)]
    + [(other, None) for other in ("null", '"5"', "true", "[5]", "{}")],
)
def test_a_wait_is_bounded(wait: str, kept: float | None) -> None:
    """What is not a finite number counts as if it was not given."""
    found = read(f'{{"type":"closing","reconnectInMs":{wait}}}')
    assert isinstance(found, Closing)
    assert found.reconnectInMs == kept


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prev": 5}, "trade whose prev is not valid"),
        ({"slab": "a b"}, "trade whose slab is not valid"),
        ({"seq": 5.0}, "trade whose seq is not valid"),
        ({"timestamp": 2**53}, "trade whose timestamp is not valid"),
    ],
)
def test_an_event_that_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    """The error names the field."""
    fields = json.loads(payload(messages.event_message(TRADE_SOL, 5, 4)))
    with pytest.raises(MessageError, match=why):
        read(json.dumps(fields | changes))
