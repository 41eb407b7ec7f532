"""Section 3 of the protocol, end to end: each request and its one final reply."""

import json
import time

import pytest
from websockets.frames import Opcode

from tests.client import Client, Message, frame
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

ALL_OF_SOL = ["price:SOL", "trades:SOL", "funding:SOL"]


async def replies(client: Client, message: object) -> list[Message]:
    """Send a message; return all answers to it."""
    client.send(message)
    return (await client.receive_until_pong())[:-1]


async def test_a_client_is_greeted_with_epoch_and_seq(gateway: Gateway) -> None:
    """The greeting names the gateway's position in the stream."""
    seq = await gateway.publish("price", "SOL")
    await gateway.has_read(seq)
    client = await gateway.handshake()
    greeting = await client.receive()
    assert (greeting["type"], greeting["message"]) == (
        "connected",
        "Percolator WebSocket connected",
    )
    assert (greeting["epoch"], greeting["seq"]) == (gateway.service.hub.book.epoch, seq)


@pytest.mark.parametrize("path", ["/", "/ws", "/ws?from=somewhere"])
async def test_a_client_may_upgrade_at_either_path(gateway: Gateway, path: str) -> None:
    """/ and /ws are equivalent, with or without a query."""
    client = await gateway.handshake(path)
    assert (await client.receive())["type"] == "connected"


async def test_a_subscribe_is_answered_with_its_channels(gateway: Gateway) -> None:
    """The message and the reply are those of the protocol."""
    client = await gateway.client()
    channels = ["price:SOL", "trades:SOL", "funding:BTC"]
    assert await replies(client, {"type": "subscribe", "channels": channels}) == [
        {"type": "subscribed", "channels": channels, "unknown": channels}
    ]


async def test_a_channel_that_is_followed_already_is_confirmed_again(gateway: Gateway) -> None:
    """Subscribing twice, in one request or two, is no error and changes nothing."""
    client = await gateway.client("trades:SOL")
    again = {"type": "subscribe", "channels": ["trades:SOL", "price:SOL", "trades:SOL"]}
    (reply,) = await replies(client, again)
    assert (reply["type"], reply["channels"]) == ("subscribed", ["trades:SOL", "price:SOL"])
    await gateway.publish("trade", "SOL")
    last = await gateway.publish("trade", "SOL")
    messages = await client.receive_until(lambda message: message.get("seq") == last)
    assert [message["type"] for message in messages] == ["trade", "trade"]


async def test_an_unsubscribe_ends_only_the_channel_that_it_names(gateway: Gateway) -> None:
    """The unsubscribed channel is silent, the other goes on."""
    client = await gateway.client("trades:SOL", "trades:BTC")
    assert await replies(client, {"type": "unsubscribe", "channels": ["trades:SOL"]}) == [
        {"type": "unsubscribed", "channels": ["trades:SOL"]}
    ]
    await gateway.publish("trade", "SOL")
    seq = await gateway.publish("trade", "BTC")
    message = await client.receive()
    assert (message["slab"], message["seq"]) == ("BTC", seq)


async def test_the_legacy_form_means_all_three_channels(gateway: Gateway) -> None:
    """The slab form gets the same reply, snapshots and unsubscribe as the three channels."""
    seq = await gateway.publish("price", "SOL")
    await gateway.has_read(seq)
    client = await gateway.client()
    client.send({"type": "subscribe", "slabAddress": "SOL", "id": 1})
    reply, snapshot = await client.receive_many(2)
    assert reply == {
        "type": "subscribed",
        "channels": ALL_OF_SOL,
        "unknown": ["trades:SOL", "funding:SOL"],
        "slabAddress": "SOL",
        "id": 1,
    }
    assert (snapshot["seq"], snapshot["snapshot"]) == (seq, True)
    assert await replies(client, {"type": "unsubscribe", "slabAddress": "SOL", "id": 2}) == [
        {"type": "unsubscribed", "channels": ALL_OF_SOL, "slabAddress": "SOL", "id": 2}
    ]


async def test_a_json_ping_is_answered_with_the_time(gateway: Gateway) -> None:
    """It is a heartbeat that a page in a browser can see."""
    client = await gateway.client()
    before = time.time_ns() // 1_000_000
    client.send({"type": "ping"})
    pong = await client.receive()
    assert pong.keys() == {"type", "timestamp"}
    assert pong["type"] == "pong"
    assert before <= pong["timestamp"] <= time.time_ns() // 1_000_000


async def test_an_unneeded_token_is_answered_with_auth_disabled(gateway: Gateway) -> None:
    """With auth off, a client that sends a token is told that it needs none."""
    client = await gateway.client()
    assert await replies(client, {"type": "auth", "token": "anything", "id": 3}) == [
        {
            "type": "error",
            "code": "auth_disabled",
            "message": "this gateway requires no token",
            "id": 3,
        }
    ]


@pytest.mark.parametrize("request_id", [0, -7, 2**53, "", "a request", "x" * 64, "ü"])
@pytest.mark.parametrize(
    ("message", "final"),
    [
        ({"type": "subscribe", "channels": ["price:SOL"]}, "subscribed"),
        ({"type": "unsubscribe", "channels": ["price:SOL"]}, "error"),
        ({"type": "ping"}, "pong"),
        ({"type": "nothing"}, "error"),
    ],
)
async def test_every_reply_carries_the_id_of_its_request(
    gateway: Gateway, message: Message, final: str, request_id: object
) -> None:
    """Strings and integers come back as they were sent, whatever the answer is."""
    client = await gateway.client()
    (reply,) = await replies(client, {**message, "id": request_id})
    assert (reply["type"], reply["id"]) == (final, request_id)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[1]", "invalid_json"),
        ("null", "invalid_json"),
        ('"subscribe"', "invalid_json"),
        ('{"type":"ping"} {"type":"ping"}', "invalid_json"),
        ('{"type":NaN}', "invalid_json"),
        ("[" * 4_000, "invalid_json"),
        ("{}", "invalid_message"),
        ('{"type":7}', "invalid_message"),
        ('{"type":null}', "invalid_message"),
        ('{"type":"subscribe"}', "invalid_message"),
        ('{"type":"subscribe","channels":[]}', "invalid_message"),
        ('{"type":"subscribe","channels":"price:SOL"}', "invalid_message"),
        ('{"type":"subscribe","channels":{"price:SOL":1}}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"since":-1}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"since":"1"}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"since":1.5}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"since":true}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:S"],"since":{"price:S":null}}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"recent":-1}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"recent":"all"}', "invalid_message"),
        ('{"type":"subscribe","channels":["price:SOL"],"since":1,"epoch":5}', "invalid_message"),
        ('{"type":"unsubscribe"}', "invalid_message"),
        ('{"type":"unsubscribe","channels":[]}', "invalid_message"),
        ('{"type":"auth"}', "invalid_message"),
        ('{"type":"auth","token":""}', "invalid_message"),
        ('{"type":"auth","token":7}', "invalid_message"),
        ('{"type":"ping","id":1.5}', "invalid_message"),
        ('{"type":"ping","id":true}', "invalid_message"),
        ('{"type":"ping","id":{}}', "invalid_message"),
        ('{"type":"ping","id":1' + "0" * 200 + "}", "invalid_message"),
        ('{"type":"ping","id":"' + "x" * 65 + '"}', "invalid_message"),
        ('{"type":"nothing"}', "unknown_type"),
        ('{"type":"PING"}', "unknown_type"),
        ('{"type":"subscribed","channels":["price:SOL"]}', "unknown_type"),
        ('{"type":"subscribe","channels":["price:"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:SOL:x"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["trade:SOL"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["Price:SOL"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":[" price:SOL"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:SOL\\n"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:**"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:a.b"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:' + "x" * 65 + '"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":["price:\\ud83d\\ude00"]}', "invalid_channel"),
        ('{"type":"subscribe","channels":[null]}', "invalid_channel"),
        ('{"type":"subscribe","channels":[["price:SOL"]]}', "invalid_channel"),
        ('{"type":"subscribe","slabAddress":""}', "invalid_channel"),
        ('{"type":"subscribe","slabAddress":7}', "invalid_channel"),
        ('{"type":"subscribe","slabAddress":"a:b"}', "invalid_channel"),
        ('{"type":"unsubscribe","channels":["price:SOL"]}', "not_subscribed"),
        ('{"type":"unsubscribe","channels":["price:SOL:x"]}', "invalid_channel"),
    ],
)
async def test_a_request_that_cannot_be_carried_out_gets_one_error(
    gateway: Gateway, text: str, code: str
) -> None:
    """A code for programs, a sentence for people, and at most 64 characters of the input."""
    client = await gateway.client()
    (error,) = await replies(client, text)
    assert (error["type"], error["code"]) == ("error", code)
    assert len(error["message"]) < 160
    assert len(error.get("channel", "")) <= 64
    assert "x" * 65 not in json.dumps(error)
    assert ("channel" in error) == (code in ("invalid_channel", "not_subscribed"))


async def test_a_binary_message_is_answered_with_an_error(gateway: Gateway) -> None:
    """Even if its payload is a valid text message."""
    client = await gateway.client()
    (error,) = await replies(client, b'{"type":"ping"}')
    assert (error["type"], error["code"]) == ("error", "invalid_message")


async def test_a_partial_subscribe_gets_its_errors_and_then_the_final_reply(
    gateway: Gateway,
) -> None:
    """One error per channel that failed, all with the id, and the final reply last."""
    client = await gateway.client()
    channels = ["price:SOL", "nothing", "trades:BTC", "price:a:b", "nothing"]
    *errors, final = await replies(
        client, {"type": "subscribe", "channels": channels, "id": "half"}
    )
    assert [(error["code"], error["channel"]) for error in errors] == [
        ("invalid_channel", "nothing"),
        ("invalid_channel", "price:a:b"),
    ]
    assert {error["id"] for error in errors} == {"half"}
    assert (final["channels"], final["id"]) == (["price:SOL", "trades:BTC"], "half")


async def test_a_partial_unsubscribe_gets_its_errors_and_then_the_final_reply(
    gateway: Gateway,
) -> None:
    """As with subscribe."""
    client = await gateway.client("price:SOL")
    channels = ["price:BTC", "price:SOL", "junk"]
    *errors, final = await replies(client, {"type": "unsubscribe", "channels": channels})
    assert {error["channel"]: error["code"] for error in errors} == {
        "price:BTC": "not_subscribed",
        "junk": "invalid_channel",
    }
    assert final == {"type": "unsubscribed", "channels": ["price:SOL"]}


async def test_fragments_are_joined_to_one_message(gateway: Gateway) -> None:
    """However a client splits it, even inside a character."""
    client = await gateway.client()
    text = '{"type":"ping","id":"ü"}'.encode()
    cut = text.index("ü".encode()) + 1
    client.write(frame(text[:cut], fin=False))
    client.write(frame(text[cut:], Opcode.CONT))
    assert (await client.receive())["id"] == "ü"


async def test_requests_are_answered_in_order(
    start_gateway: StartGateway,
) -> None:
    """Even many in one segment: each gets one final reply, none is skipped."""
    gateway = await start_gateway(message_burst=1_000)
    client = await gateway.client()
    slabs = [f"S{number % 7}" for number in range(200)]
    client.write(
        b"".join(
            frame(json.dumps(
                {"type": kind, "channels": [f"trades:{slab}"], "id": number}
            ).encode())
            for number, slab in enumerate(slabs)
            for kind in ("subscribe", "unsubscribe")
        )
    )  # fmt: skip
    answers = await client.receive_many(400)
    assert [answer["id"] for answer in answers] == [n for n in range(200) for _ in range(2)]
    assert [answer["type"] for answer in answers] == ["subscribed", "unsubscribed"] * 200
