"""Bytes that nats-server passes on and no NATS library expects: each costs one rejection."""

import asyncio
import json

import pytest

from tests.client import PATIENCE
from tests.gateway import Gateway, event_json
from tests.integration.conftest import StartGateway

EVENT = event_json("trade")


def pub(subject: bytes, reply: bytes = b"") -> bytes:
    """Return the bytes that publish an event."""
    return b"PUB %s %s%d\r\n%s\r\n" % (subject, reply and reply + b" ", len(EVENT), EVENT)


def hpub(headers: bytes) -> bytes:
    """Return the bytes that publish an event with headers."""
    sizes = len(headers), len(headers) + len(EVENT)
    return b"HPUB percolator.trade.SOL %d %d\r\n%s%s\r\n" % (*sizes, headers, EVENT)


SUBJECTS = {
    "not UTF-8": b"percolator.trade.\xff\xfe",
    "half a character": b"percolator.trade.\xc3",
    "a form feed": b"percolator.trade.a\x0cb",
    "a vertical tab": b"percolator.trade.a\x0bb",
    "a null byte": b"percolator.trade.a\x00b",
    "an escape sequence": b"percolator.trade.\x1b[2J",
    "a wildcard": b"percolator.trade.*",
    "a wildcard at the end": b"percolator.trade.>",
    "a long subject": b"percolator.trade." + b"x" * 3_900,
}
HEADERS = {
    "one byte": b"X",
    "no line": b"\xff\xfe\xfd",
    "a long line": b"\xff" * 40,
    "no end": b"NATS/1.0\r\nName: value",
    "a status that is not UTF-8": b"NATS/1.0 \xff\xff\xff text\r\nA: b\r\n\r\n",
    "a description that is not UTF-8": b"NATS/1.0 404 \xff\xff\r\nA: b\r\n\r\n",
    "a status": b"NATS/1.0 404 Not Found\r\nA: b\r\n\r\n",
    "a name that is not UTF-8": b"NATS/1.0\r\n\xff: value\r\n\r\n",
    "the headers of a stored event": b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Subject: x\r\n\r\n",
    "a header that is no header": b"NATS/1.0\r\n: \r\n\r\n:\r\n\r\n",
}


async def send_raw(gateway: Gateway, data: bytes) -> None:
    """Send bytes to the NATS server as a client of another kind could; wait until it has them."""
    url = gateway.nats.connected_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + data + b"PING\r\n")
    async with asyncio.timeout(PATIENCE):
        while await reader.readline() != b"PONG\r\n":
            pass
    writer.close()


@pytest.mark.parametrize("what", SUBJECTS)
async def test_an_event_on_an_impossible_subject_is_rejected_and_costs_nothing_else(
    what: str, gateway: Gateway, start_gateway: StartGateway
) -> None:
    """It is counted and reported, the feed reads on, and another gateway starts."""
    reports = await gateway.nats.subscribe("percolator.rejected")
    await gateway.nats.flush()
    client = await gateway.client("trades:SOL")
    connection = gateway.service.feed.client
    await send_raw(gateway, pub(SUBJECTS[what]))
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive())["seq"] == seq
    assert dict(gateway.service.stats.rejected) == {"invalid_subject": 1}
    report = json.loads((await reports.next_msg(timeout=PATIENCE)).data)
    assert (report["seq"], report["reason"]) == (seq - 1, "invalid_subject")
    assert gateway.service.feed.client is connection  # it did not have to connect again
    await start_gateway(backlog=0)


@pytest.mark.parametrize("what", HEADERS)
async def test_an_event_with_invalid_headers_is_an_event_like_any_other(
    what: str, start_gateway: StartGateway
) -> None:
    """Headers do not count, whether the event is live or read back from the stream."""
    gateway = await start_gateway(log_capacity=2)
    client = await gateway.client("trades:SOL")
    connection = gateway.service.feed.client
    first = await gateway.publish("trade", "SOL")
    await send_raw(gateway, hpub(HEADERS[what]))
    last = 0
    for _ in range(5):
        last = await gateway.publish("trade", "SOL")
    received = await client.receive_until(lambda message: message.get("seq") == last)
    assert [message["seq"] for message in received] == [*range(first, last + 1)]
    assert gateway.service.feed.client is connection  # it did not have to connect again
    late = await gateway.client()
    late.subscribe("trades:SOL", since=first)
    received = await late.receive_until(lambda message: message.get("seq") == last)
    seqs = [message["seq"] for message in received if message["type"] == "trade"]
    assert seqs == [*range(first + 1, last + 1)]


async def test_a_reply_subject_that_is_not_utf_8_changes_nothing(gateway: Gateway) -> None:
    """JetStream's own takes its place."""
    client = await gateway.client("trades:SOL")
    connection = gateway.service.feed.client
    await send_raw(gateway, pub(b"percolator.trade.SOL", b"\xff\xfe"))
    assert (await client.receive())["type"] == "trade"
    assert gateway.service.feed.client is connection  # it did not have to connect again
