"""`GET /ws/stats`: the documented fields under their names, with correct numbers."""

from websockets.frames import Opcode

from tests.client import Message, frame
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

GIVEN: Message = {
    "totalConnections": int,
    "connectionsPerSlab": dict,
    "messagesPerSec": float,
    "bytesPerSec": float,
    "limits": {"maxGlobalConnections": int, "maxConnectionsPerSlab": int}
    | {"maxConnectionsPerIp": int, "maxWildcardConnections": int, "maxChannelsPerClient": int}
    | {"maxMessageBytes": int}
    | {"maxBufferedBytes": int, "messagesPerSec": float, "messageBurst": int}
    | {"attemptsPerSec": float, "attemptBurst": int, "subscribeTimeoutSeconds": float}
    | {"requestsPerSec": float, "requestBurst": int},
}
ADDED: Message = {
    "messagesSentPerSec": float,
    "messagesReceivedPerSec": float,
    "bytesSentPerSec": float,
    "bytesReceivedPerSec": float,
    "eventsPerSec": float,
    "clientsBehind": int,
    "eventsRejected": int,
    "eventsUnknown": int,
    "eventsOutdated": int,
    "priceJumps": int,
    "rejectedConnections": dict,
    "closed": dict,
    "uptimeSeconds": float,
    "nats": {"connected": bool, "streamSeq": int, "lag": int},
}


def types(stats: Message, expected: Message) -> Message:
    """Return the types of fields, to the expected depth."""
    return {
        name: types(value, expected[name])
        if isinstance(expected.get(name), dict)
        else type(value)
        for name, value in stats.items()
    }  # fmt: skip


async def test_each_field_has_its_documented_name_type_and_place(gateway: Gateway) -> None:
    """The original fields first and in order, then those that were added."""
    status, headers, _ = await gateway.get("/ws/stats?anything")
    assert (status, headers["content-type"]) == (200, "application/json")
    stats = await gateway.stats()
    assert list(stats) == [*GIVEN, *ADDED]
    assert list(stats["limits"]) == list(GIVEN["limits"])
    expected = GIVEN | ADDED
    assert types(stats, expected) == expected
    assert stats["limits"] == {
        "maxGlobalConnections": 1_000,
        "maxConnectionsPerSlab": 100,
        "maxConnectionsPerIp": 0,
        "maxWildcardConnections": 100,
        "maxChannelsPerClient": 200,
        "maxMessageBytes": 4_096,
        "maxBufferedBytes": 65_536,
        "messagesPerSec": 0,
        "messageBurst": 100,
        "attemptsPerSec": 0,
        "attemptBurst": 30,
        "subscribeTimeoutSeconds": 60,
        "requestsPerSec": 0,
        "requestBurst": 100,
    }


async def test_connections_are_counted_in_total_and_per_market(gateway: Gateway) -> None:
    """A client counts once on each of its markets; a stats request is not a connection."""
    await gateway.client("price:SOL", "trades:SOL", "trades:BTC")
    await gateway.client("funding:SOL")
    await gateway.client()
    stats = await gateway.stats()
    assert stats["totalConnections"] == 3
    assert stats["connectionsPerSlab"] == {"BTC": 1, "SOL": 2}
    await gateway.disconnect_clients()
    stats = await gateway.stats()
    assert (stats["totalConnections"], stats["connectionsPerSlab"]) == (0, {})


async def test_traffic_is_counted_exactly(gateway: Gateway) -> None:
    """Messages and bytes in both directions as clients saw them; rates are averages since start."""
    clients = await gateway.clients(3, "trades:SOL")
    for number in range(40):
        seq = await gateway.publish("trade", "SOL", size=str(number))
    await gateway.has_read(seq)
    for client in clients:
        await client.receive_many(40)
    counters = gateway.service.stats
    texts = [text for client in clients for text in client.texts]
    assert counters.messages_sent == len(texts) == 3 * 42
    assert counters.bytes_sent == sum(len(text) + (2 if len(text) < 126 else 4) for text in texts)
    assert counters.messages_received == 3
    assert counters.events == {"trade": 40}
    stats = await gateway.stats()
    seconds = max(stats["uptimeSeconds"], 1)
    assert 0 < stats["messagesSentPerSec"] <= counters.messages_sent
    assert abs(stats["messagesSentPerSec"] * seconds - counters.messages_sent) < 20
    assert abs(stats["eventsPerSec"] * seconds - 40) < 10
    sums = {
        "messagesPerSec": stats["messagesSentPerSec"] + stats["messagesReceivedPerSec"],
        "bytesPerSec": stats["bytesSentPerSec"] + stats["bytesReceivedPerSec"],
    }
    assert all(abs(stats[name] - total) <= 0.02 for name, total in sums.items())


async def test_fragments_count_as_one_message(gateway: Gateway) -> None:
    """Control frames do not count as messages."""
    client = await gateway.client()
    client.ping()
    client.write(frame(b'{"type":', fin=False))
    client.write(frame(b'"ping"}', Opcode.CONT))
    await client.receive()
    assert gateway.service.stats.messages_received == 1


async def test_the_state_of_the_feed_is_shown(gateway: Gateway) -> None:
    """Whether it is connected, the stream's last seq, and how far the gateway is behind it."""
    seq = await gateway.publish("price", "SOL")
    await gateway.has_read(seq)
    assert (await gateway.stats())["nats"] == {"connected": True, "streamSeq": seq, "lag": 0}


async def test_closes_are_counted_by_their_code(start_gateway: StartGateway) -> None:
    """From either side; 1006 without a close frame, 4000 for every code from there on."""
    gateway = await start_gateway(max_connections=4)
    polite, rude, *loud = await gateway.clients(4)
    refused = await gateway.handshake()
    assert (await refused.closed())[0] == 1008
    polite.close(1000)
    assert await polite.closed() == (1000, "")
    for client, code in zip(loud, (4_321, 4_999), strict=True):
        client.close(code)
        assert (await client.closed())[0] == code
    rude.abort()
    await eventually(lambda: not gateway.service.gateway.connections)
    stats = await gateway.stats()
    assert stats["closed"] == {"1000": 1, "1006": 1, "1008": 1, "4000": 2}
    assert stats["rejectedConnections"] == {"too many connections": 1}
