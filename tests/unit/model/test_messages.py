"""The vocabulary of the WebSocket: what is parsed from a client's message, and what is sent."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from percolator.errors import RequestError
from percolator.model import messages
from percolator.model.kinds import Funding, Liquidation, Price, Trade
from tests.channels import channel
from tests.unit.wire import message, payloads


@pytest.mark.parametrize("size", [0, 125, 126, 127, 65_535, 65_536])
def test_a_text_is_framed_as_the_websockets_library_does(size: int) -> None:
    """Whole, not masked, readable by every client."""
    payload = b"x" * size
    framed = messages.text_frame(payload)
    reader = StreamReader()
    reader.feed_data(framed)
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert parsed.value.value == Frame(Opcode.TEXT, payload)
    assert list(payloads(framed)) == [payload]


LARGEST = 2**63 - 1
LIMITS = messages.ClientLimits(4_096, 0.5, 100, 200, 10_000)
SOL_PRICE = Price(price=1.5, markPrice=1.51, indexPrice=1.49, timestamp=5, slab="SOL")
BARE_PRICE = Price(price=1.5, timestamp=5, slab="SOL")
TRADE = Trade(side="long", size="1000000", price=1.5, timestamp=5, slab="SOL")
FUNDING = Funding(rate="0.0001", timestamp=5, slab="SOL")
LIQUIDATION = Liquidation(side="short", size="7", price=1.5, timestamp=5, slab="SOL")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (
            messages.connected("e", 7, LIMITS, heartbeat_ms=15_000, stale_since=None),
            (
                '{"type":"connected","message":"Percolator WebSocket connected","epoch":"e",'
                '"seq":7,"limits":{"messageBytes":4096,"messagesPerSecond":0.5,"messageBurst":100,'
                '"channels":200,"replay":10000},"heartbeatMs":15000,"feed":{"state":"live"}}'
            ),
        ),
        (messages.feed(None, 7), '{"type":"feed","state":"live","seq":7}'),
        (messages.feed(5, 7), '{"type":"feed","state":"stale","since":5}'),
        (messages.heartbeat(5, 7), '{"type":"heartbeat","timestamp":5,"seq":7}'),
        (
            messages.subscribed([channel("price:A"), channel("trades:B")], None),
            '{"type":"subscribed","channels":["price:A","trades:B"]}',
        ),
        (
            messages.subscribed([channel("price:A")], 0),
            '{"type":"subscribed","channels":["price:A"],"id":0}',
        ),
        (
            messages.unsubscribed([channel("price:A")], ""),
            '{"type":"unsubscribed","channels":["price:A"],"id":""}',
        ),
        (
            messages.subscribed([channel("price:A")], 1, unknown=[channel("price:A")], slab="A"),
            (
                '{"type":"subscribed","channels":["price:A"],"unknown":["price:A"],'
                '"slabAddress":"A","id":1}'
            ),
        ),
        (
            messages.unsubscribed([channel("price:A")], None, "A"),
            '{"type":"unsubscribed","channels":["price:A"],"slabAddress":"A"}',
        ),
        (
            messages.error(RequestError("slab_limit", "full", "price:A"), None, "A"),
            (
                '{"type":"error","code":"slab_limit","message":"full","channel":"price:A",'
                '"slabAddress":"A"}'
            ),
        ),
        (messages.pong(5, "x"), '{"type":"pong","timestamp":5,"id":"x"}'),
        (messages.authenticated(["*"], None), '{"type":"authenticated","channels":["*"]}'),
        (
            messages.error(RequestError("slab_limit", "full", "price:SOL"), 1),
            '{"type":"error","code":"slab_limit","message":"full","channel":"price:SOL","id":1}',
        ),
        (
            messages.error(RequestError("invalid_json", "no"), None),
            '{"type":"error","code":"invalid_json","message":"no"}',
        ),
        (messages.closing(250), '{"type":"closing","reconnectInMs":250}'),
        (
            messages.gap(channel("trades:SOL"), 3, 9),
            '{"type":"gap","channel":"trades:SOL","from":3,"to":9}',
        ),
        (
            messages.gap(channel("trades:SOL"), 3, 1, "e"),
            '{"type":"gap","channel":"trades:SOL","from":3,"to":1,"epoch":"e"}',
        ),
        (
            messages.event_message(SOL_PRICE, 7, 6),
            (
                '{"type":"price","slab":"SOL","price":1.5,"markPrice":1.51,"indexPrice":1.49,'
                '"timestamp":5,"seq":7}'
            ),
        ),
        (
            messages.event_message(BARE_PRICE, 7, None, snapshot=True),
            '{"type":"price","slab":"SOL","price":1.5,"timestamp":5,"seq":7,"snapshot":true}',
        ),
        (
            messages.event_message(TRADE, 7, 6),
            (
                '{"type":"trade","slab":"SOL","side":"long","size":"1000000","price":1.5,'
                '"timestamp":5,"seq":7,"prev":6}'
            ),
        ),
        (
            messages.event_message(TRADE, 7, None),
            (
                '{"type":"trade","slab":"SOL","side":"long","size":"1000000","price":1.5,'
                '"timestamp":5,"seq":7,"prev":null}'
            ),
        ),
        (
            messages.event_message(FUNDING, 7, 0, snapshot=True),
            (
                '{"type":"funding","slab":"SOL","rate":"0.0001","timestamp":5,"seq":7,"prev":0,'
                '"snapshot":true}'
            ),
        ),
    ],
)
def test_a_message_has_the_documented_shape(data: bytes, shown: str) -> None:
    """The documented fields first and in order, under their names."""
    (payload,) = payloads(data)
    assert payload.decode() == shown


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_a_price_is_written_without_loss(price: float) -> None:
    """A client that reads it has the same number."""
    event = Price(price=price, timestamp=0, slab="SOL")
    assert message(messages.event_message(event, 1, None))["price"] == price


@pytest.mark.parametrize(
    ("build", "max_bytes"),
    [
        (
            lambda: messages.connected(
                "f" * 16, LARGEST, LIMITS, heartbeat_ms=15_000, stale_since=LARGEST
            ),
            350,
        ),
        (lambda: messages.feed(LARGEST, LARGEST), 70),
        (lambda: messages.heartbeat(LARGEST, LARGEST), 90),
        (lambda: messages.closing(5000), 60),
    ],
)
def test_the_messages_for_every_client_are_short(
    build: Callable[[], bytes], max_bytes: int
) -> None:
    """They are written a thousand times at once."""
    assert len(build()) <= max_bytes
