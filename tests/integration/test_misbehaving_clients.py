"""Clients that break the rules: each is cut off in bounded time, without harm to others."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from websockets.frames import Frame, Opcode

from percolator.fanout import session
from percolator.gateway import connection
from percolator.gateway.websocket import WebSocket
from tests.client import Client, close_frame, frame, upgrade
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway


@pytest.fixture
async def witness(gateway: Gateway) -> AsyncIterator[Client]:
    """A client that behaves, and must be served throughout."""
    client = await gateway.client("trades:SOL")
    yield client
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive_until(lambda message: message.get("seq") == seq))[-1][
        "type"
    ] == "trade"


PROTOCOL_ERRORS = {
    "garbage": bytes(range(256)) * 8,
    "a frame without a mask": Frame(Opcode.TEXT, b'{"type":"ping"}').serialize(mask=False),
    "a reserved bit": b"\xc1\x80\x00\x00\x00\x00",
    "an unknown opcode": b"\x83\x80\x00\x00\x00\x00",
    "a ping in fragments": b"\x09\x80\x00\x00\x00\x00",
    "a ping of 126 bytes": b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + bytes(126),
    "a continuation without a start": frame(b"x", Opcode.CONT),
    "a text frame within a fragmented message": frame(b"x", fin=False) + frame(b"x"),
    "a one-byte close frame": frame(b"\x03", Opcode.CLOSE),
    "an invalid close code": frame(b"\x03\xec", Opcode.CLOSE),
    "a close code out of range": frame(b"\x00\x01", Opcode.CLOSE),
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS)
@pytest.mark.usefixtures("witness")
async def test_an_invalid_frame_is_closed_with_1002(gateway: Gateway, data: bytes) -> None:
    """At once; whatever follows in the same segment is not read."""
    client = await gateway.client("price:SOL")
    client.write(data + frame(b'{"type":"ping"}'))
    assert (await client.closed())[0] == 1002
    await client.gone()
    assert len(client.texts) == 2
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize("end", [Client.abort, Client.reset])
async def test_a_client_that_disconnects_after_its_close_frame_causes_no_error(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, end: Callable[[Client], None]
) -> None:
    """The gateway reads the close frame when the socket has ended: nothing receives its answer."""
    client = await gateway.client("price:SOL")
    client.write(close_frame())
    end(client)
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)
    assert gateway.service.stats.closed == {1000: 1}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "pieces", [[b'{"type":"\xff"}'], [b'{"type":"p', b"\xc3", b"\x28"], [b"\xf4\x90\x80\x80"]]
)
@pytest.mark.usefixtures("witness")
async def test_a_text_that_is_not_utf_8_is_closed_with_1007(
    gateway: Gateway, pieces: list[bytes]
) -> None:
    """As soon as it is detectable, in whichever fragment."""
    client = await gateway.client("price:SOL")
    for number, piece in enumerate(pieces):
        opcode = Opcode.CONT if number else Opcode.TEXT
        client.write(frame(piece, opcode, fin=False))
    assert await client.closed() == (1007, "the text is not UTF-8")
    await client.gone()


FLOODS = {
    "messages": frame(b"{}"),
    "pings": frame(b"", Opcode.PING),
    "pongs that answer no ping": frame(b"", Opcode.PONG),
    "empty fragments": frame(b"", Opcode.CONT, fin=False),
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS)
async def test_a_flood_is_closed_with_1008(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """For every kind of frame that costs work, if it lasts; others are served meanwhile."""
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.2)
    gateway = await start_gateway(messages_per_second=10, message_burst=20)
    witness = await gateway.client("trades:SOL")
    client = await gateway.client("price:SOL")
    client.write(frame(b"", fin=False) if data == FLOODS["empty fragments"] else b"")
    client.write(data * 1_000)
    assert await client.closed() == (1008, "too many messages")
    await client.gone()
    assert len(client.texts) + len(client.pongs) < 300  # what was read in one piece is answered
    seq = await gateway.publish("trade", "SOL")
    assert (await witness.receive())["seq"] == seq


async def test_what_follows_the_frame_that_closes_a_connection_is_not_parsed(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if it came in the same read: the client's close frame is looked for in the beginning."""
    parsed = []
    receive = WebSocket.receive

    def record(ws: WebSocket, data: bytes) -> list[Frame]:
        parsed.append(len(data))
        return receive(ws, data)

    monkeypatch.setattr(WebSocket, "receive", record)
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.2)
    gateway = await start_gateway(messages_per_second=10, message_burst=20)
    client = await gateway.client("price:SOL")
    parsed.clear()
    client.write(FLOODS["pongs that answer no ping"] * 40_000)
    await client.gone()
    assert 0 < sum(parsed) < 4_096


async def test_one_read_is_parsed_in_many_turns(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order and to its end, while others are served."""
    monkeypatch.setattr(connection, "TURN_SECONDS", 0)
    gateway = await start_gateway(messages_per_second=0, max_buffered_bytes=0)
    busy, other = await gateway.client(), await gateway.client()
    count = 5_000
    busy.write(b"".join(frame(b'{"type":"ping","id":%d}' % number) for number in range(count)))
    await busy.receive()
    other.send({"type": "ping"})
    await other.receive_until_type("pong")
    answered = len(busy.texts)
    answers = await busy.receive_many(count - 1)
    assert answered < count / 2
    assert [answer["id"] for answer in answers] == list(range(1, count))


async def test_a_flood_of_small_fragments_is_closed_with_1009(gateway: Gateway) -> None:
    """If nothing limits their number, the size of the message does."""
    client = await gateway.client("price:SOL")
    client.write(frame(b"x", fin=False))
    client.write(frame(b"x", Opcode.CONT, fin=False) * 5_000)
    assert (await client.closed())[0] == 1009
    await client.gone()


QUESTIONS = {
    "pings": frame(b"x" * 125, Opcode.PING) * 20,
    "messages": frame(b'{"type":"ping"}') * 20,
    "bad channels": frame(
        b'{"type":"subscribe","channels":[' + b",".join(b'"%d"' % n for n in range(50)) + b"]}"
    ),
}


@pytest.mark.parametrize("data", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.usefixtures("witness")
async def test_a_client_that_sends_requests_and_does_not_read_is_cut_off(
    gateway: Gateway, data: bytes
) -> None:
    """Its answers wait in user space, up to the limit."""
    client = await gateway.client(receive_buffer=4_096)
    peer = list(gateway.service.gateway.connections)[-1]
    client.stop_reading()
    largest = 0
    while len(gateway.service.gateway.connections) > 1:
        client.write(data)
        await asyncio.sleep(0)
        largest = max(largest, peer.transport.get_write_buffer_size())
    assert 0 < largest <= gateway.service.settings.max_buffered_bytes


async def test_a_flood_that_continues_after_the_close_is_cut_off(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read for a while, in case a close frame follows; then it is cut off."""
    monkeypatch.setattr(session, "FLOOD_SECONDS", 0.1)
    gateway = await start_gateway(messages_per_second=10, message_burst=20)
    client = await gateway.client("price:SOL")
    client.answers_close = False
    while client.lost is False:
        client.write(FLOODS["pings"] * 1_000)
        await asyncio.sleep(0)
    assert len(client.pongs) < 300
    assert gateway.service.stats.bytes_received < 500_000


@pytest.mark.usefixtures("short_deadlines", "witness")
async def test_a_client_that_is_silent_after_its_close_frame_is_cut_off_in_time(
    gateway: Gateway,
) -> None:
    """The close frame is answered, and the half-open socket is closed all the same."""
    client = await gateway.client("price:SOL")
    client.close(1000, "bye")
    assert await client.closed() == (1000, "bye")
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)


@pytest.mark.usefixtures("short_deadlines", "witness")
async def test_a_client_that_does_not_answer_the_close_frame_is_cut_off_in_time(
    gateway: Gateway,
) -> None:
    """Its places are free as soon as it is cut off."""
    client = await gateway.client("price:SOL")
    client.answers_close = False
    client.write(frame(b"x" * 5_000))
    assert (await client.closed())[0] == 1009
    await client.gone()
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)


async def test_nothing_is_sent_after_a_close_frame(gateway: Gateway) -> None:
    """No event and no reply: the close frame is the last frame in either direction."""
    client = await gateway.client("trades:SOL")
    client.write(close_frame(1000) + frame(b'{"type":"ping"}'))
    seq = await gateway.publish("trade", "SOL")
    await gateway.has_read(seq)
    await client.gone()
    assert (await client.closed())[0] == 1000
    assert len(client.texts) == 2
    assert not gateway.service.slab_limits.clients


@pytest.mark.usefixtures("witness")
async def test_a_half_closed_connection_is_closed(gateway: Gateway) -> None:
    """A client that has closed its side of TCP gets nothing more."""
    client = await gateway.client("price:SOL")
    client.close_write_side()
    await client.gone()
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)


@pytest.mark.parametrize("sent", [0, 1, 40, None])
@pytest.mark.usefixtures("witness")
async def test_a_reset_during_the_handshake_leaves_nothing(
    gateway: Gateway, sent: int | None
) -> None:
    """Anywhere in the head, or right after it."""
    for _ in range(50):
        client = await gateway.dial()
        client.write(upgrade()[:sent])
        await asyncio.sleep(0)
        client.reset()
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)
    assert gateway.service.admission.places.total == 1


@pytest.mark.usefixtures("witness")
async def test_a_reset_after_a_subscribe_leaves_nothing(gateway: Gateway) -> None:
    """The client has gone before the reply is sent."""
    subscribe = b'{"type":"subscribe","slabAddress":"BTC"}'
    for _ in range(50):
        client = await gateway.dial()
        client.write(upgrade() + frame(subscribe))
        await asyncio.sleep(0)
        client.reset()
    await eventually(lambda: len(gateway.service.gateway.connections) == 1)
    assert gateway.service.slab_limits.clients == {"SOL": 1}
