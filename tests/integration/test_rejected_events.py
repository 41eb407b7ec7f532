"""Invalid events are counted, reported and logged at a limited rate, and stop nothing."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.subscription import Subscription

from percolator.logs import LINE_BURST, RateLimitFilter
from percolator.model.channel import REJECTED_SUBJECT
from percolator.model.rejection import KEPT, WAITING
from percolator.printable import printable
from tests.client import PATIENCE, Message
from tests.gateway import Gateway, event_json, running

PRICE, TRADE, FUNDING = (f"percolator.{kind}.SOL" for kind in ("price", "trade", "funding"))

BAD = {
    "not JSON": (PRICE, b"price: 1.5", "invalid_json"),
    "an empty payload": (PRICE, b"", "invalid_json"),
    "not UTF-8": (PRICE, b'{"price":1.5,"timestamp":1234567890123,"slab":"\xff"}', "invalid_json"),
    "truncated JSON": (TRADE, event_json("trade")[:-1], "invalid_json"),
    "two documents": (FUNDING, event_json("funding") * 2, "invalid_json"),
    "deeply nested": (PRICE, b'{"price":' + b"[" * 8_000, "invalid_json"),
    "no object": (PRICE, b"[1.5]", "invalid_event"),
    "another kind": (PRICE, event_json("trade", type="trade"), "mismatch"),
    "another slab": (PRICE, event_json("price", slab="BTC"), "mismatch"),
    "an envelope of another kind": (PRICE, b'{"event":"trade.executed","data":{}}', "mismatch"),
    "an envelope of another slab": (
        PRICE,
        b'{"event":"price.updated","slabAddress":"BTC","data":{}}',
        "mismatch",
    ),
    "an envelope with a fraction of a millionth": (
        PRICE,
        b'{"event":"price.updated","data":{"priceE6":1.5},"timestamp":1234567890123}',
        "invalid_price",
    ),
    "a slab with a dot": ("percolator.price.SOL.USD", event_json("price"), "invalid_subject"),
    "a slab with a colon": ("percolator.trade.a:b", event_json("trade"), "invalid_subject"),
    "a long slab": (f"percolator.price.{'x' * 65}", event_json("price"), "invalid_subject"),
    "a negative price": (PRICE, event_json("price", price=-1.5), "invalid_price"),
    "a price of zero": (PRICE, event_json("price", price=0), "invalid_price"),
    "a price that is NaN": (PRICE, event_json("price", price=float("nan")), "invalid_json"),
    "an infinite price": (PRICE, event_json("price", price=float("inf")), "invalid_json"),
    "a price too large": (PRICE, b'{"price":1e400,"timestamp":1234567890123}', "invalid_price"),
    "an integer price too large": (PRICE, event_json("price", price=10**400), "invalid_price"),
    "a price as a string": (PRICE, event_json("price", price="1.5"), "invalid_price"),
    "a price that is true": (PRICE, event_json("price", price=True), "invalid_price"),
    "no price": (PRICE, b'{"timestamp":1234567890123}', "invalid_price"),
    "a negative mark price": (PRICE, event_json("price", markPrice=-1), "invalid_markPrice"),
    "an index price of zero": (PRICE, event_json("price", indexPrice=0), "invalid_indexPrice"),
    "a side `buy`": (TRADE, event_json("trade", side="buy"), "invalid_side"),
    "a size over 128 bits": (TRADE, event_json("trade", size=str(2**128)), "invalid_size"),
    "a size that is a number": (TRADE, event_json("trade", size=1), "invalid_size"),
    "a negative size": (TRADE, event_json("trade", size="-1"), "invalid_size"),
    "a rate that is a number": (FUNDING, event_json("funding", rate=0.1), "invalid_rate"),
    "a rate that is NaN": (FUNDING, event_json("funding", rate="NaN"), "invalid_rate"),
    "a timestamp too large": (TRADE, event_json("trade", timestamp=2**53), "invalid_timestamp"),
    "a fractional timestamp": (TRADE, event_json("trade", timestamp=1.5), "invalid_timestamp"),
    "no timestamp": (FUNDING, b'{"rate":"0.1"}', "invalid_timestamp"),
    "a time in seconds": (TRADE, event_json("trade", timestamp=1_700_000_000), "invalid_timestamp"),
    "a time in the far future": (
        TRADE,
        event_json("trade", timestamp=2**53 - 1),
        "invalid_timestamp",
    ),
    "9 kB": (TRADE, event_json("trade", note="x" * 8_900), "too_large"),
}


@asynccontextmanager
async def rejections(gateway: Gateway) -> AsyncIterator[Subscription]:
    """Subscribe to the reports of rejected events."""
    subscription = await gateway.nats.subscribe(REJECTED_SUBJECT)
    await gateway.nats.flush()
    yield subscription


async def report(subscription: Subscription) -> Message:
    """Return the next report."""
    message = await subscription.next_msg(timeout=PATIENCE)
    found: Message = json.loads(message.data)
    return found


@pytest.mark.parametrize(("subject", "payload", "reason"), BAD.values(), ids=BAD)
async def test_an_invalid_event_is_reported_and_counted_and_the_next_one_delivered(
    gateway: Gateway, subject: str, payload: bytes, reason: str
) -> None:
    """NATS and the page have the same report; clients see nothing of it."""
    client = await gateway.client("price:SOL", "trades:SOL", "funding:SOL")
    async with rejections(gateway) as reports:
        bad = await gateway.publish_raw(subject, payload)
        found = await report(reports)
    assert (found["seq"], found["subject"], found["reason"]) == (bad, subject, reason)
    assert found["epoch"] == gateway.service.feed.epoch
    assert found["message"]
    assert found["payload"].startswith(printable(payload[:20].decode(errors="backslashreplace")))
    assert (await gateway.get_json("/rejected"))["rejected"] == [found]
    good = await gateway.publish("trade", "SOL")
    message = await client.receive()
    assert (message["type"], message["seq"], message["prev"]) == ("trade", good, 0)
    assert (await gateway.stats())["eventsRejected"] == 1
    assert gateway.service.stats.rejected == {reason: 1}
    assert (await gateway.get("/health"))[0] == 200


async def test_invalid_events_leave_the_chain_of_valid_ones_complete(
    gateway: Gateway,
) -> None:
    """Each invalid event lies between two valid ones, which all arrive, linked to each other."""
    client = await gateway.client("trades:SOL")
    seqs = []
    for subject, payload, _ in BAD.values():
        await gateway.publish_raw(subject, payload)
        seqs.append(await gateway.publish("trade", "SOL"))
    messages = await client.receive_many(len(seqs))
    assert [message["seq"] for message in messages] == seqs
    assert [message["prev"] for message in messages] == [0, *seqs[:-1]]
    assert (await gateway.stats())["eventsRejected"] == len(BAD)


async def test_a_flood_of_invalid_events_is_counted_in_full_and_logged_at_a_limited_rate(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """A few lines report it, with no more than the start of a payload."""
    count = 2_000
    limited = caplog.filtering(RateLimitFilter(time.monotonic))  # the handler is that of all tests
    with limited, caplog.at_level(logging.WARNING, logger="percolator"):
        payload = b"x" * 5_000
        seqs = await asyncio.gather(*(gateway.publish_raw(PRICE, payload) for _ in range(count)))
        await gateway.has_read(max(seqs))
    lines = [record.getMessage() for record in caplog.records if "rejected" in record.message]
    assert 1 <= len(lines) <= LINE_BURST + 1
    assert all(len(line) < 400 for line in lines)
    assert (await gateway.stats())["eventsRejected"] == count


async def test_a_report_names_the_message_and_when_it_was_stored(gateway: Gateway) -> None:
    """The id is what the publisher set as Nats-Msg-Id."""
    before = time.time_ns() // 1_000_000
    async with rejections(gateway) as reports:
        await gateway.publisher.publish(TRADE, b"{}", "5sig:SOL:1")
        named = await report(reports)
        await gateway.publish_raw(TRADE, b"{}")
        nameless = await report(reports)
    assert (named["id"], nameless["id"]) == ("5sig:SOL:1", None)
    assert before <= named["time"] <= nameless["time"] <= time.time_ns() // 1_000_000


async def test_a_gateway_that_starts_again_reports_its_backlog_again_as_the_same_events(
    gateway: Gateway, nats_url: str, stream_name: str
) -> None:
    """Epoch and seq say so; the numbers of the page are of another run."""
    await gateway.has_read(await gateway.publish_raw(PRICE, b"{}"))
    async with running(nats_url, stream_name) as other:
        first, second = await gateway.get_json("/rejected"), await other.get_json("/rejected")
    assert first["rejected"] == second["rejected"]
    assert (first["total"], second["total"]) == (1, 1)
    assert first["run"] != second["run"]


async def test_a_watcher_asks_for_what_came_after_a_number(gateway: Gateway) -> None:
    """With `since`; what is no number is refused in a sentence."""
    seqs = [await gateway.publish_raw(PRICE, b"{}") for _ in range(3)]
    await gateway.has_read(seqs[-1])
    found = await gateway.get_json("/rejected?since=1")
    assert (found["total"], [each["seq"] for each in found["rejected"]]) == (3, seqs[1:])
    for wrong in ("x", "-1", "1.5", "1" * 99):
        status, _, body = await gateway.get(f"/rejected?since={wrong}")
        assert (status, body) == (400, b"since must be a whole number.\n")


async def test_rejections_are_for_operators(nats_url: str, stream_name: str) -> None:
    """With the stats token; pages of other origins may not read them."""
    async with running(nats_url, stream_name, stats_token="s" * 16) as gateway:
        status, headers, body = await gateway.get("/rejected", "Origin: https://a.example\r\n")
        assert (status, "access-control-allow-origin" in headers) == (401, False)
        assert b"rejected" not in body
        status, _, _ = await gateway.get("/rejected", f"Authorization: Bearer {'s' * 16}\r\n")
        assert status == 200


async def test_a_flood_does_not_keep_another_publisher_from_its_report(gateway: Gateway) -> None:
    """More than may wait to be published come before it; the subjects take turns."""
    async with rejections(gateway) as reports:
        for _ in range(3 * WAITING):
            await gateway.nats.publish(PRICE, b"{}")
        seq = await gateway.publish_raw(TRADE, b"{}")
        while (found := await report(reports))["subject"] == PRICE:
            pass
        assert (found["seq"], found["subject"]) == (seq, TRADE)


async def test_the_newest_rejections_of_a_flood_are_kept(gateway: Gateway) -> None:
    """And no more of them."""
    seqs = await asyncio.gather(*(gateway.publish_raw(PRICE, b"{}") for _ in range(KEPT + 100)))
    await gateway.has_read(max(seqs))
    found = await gateway.get_json("/rejected")
    assert found["total"] == KEPT + 100
    assert [each["seq"] for each in found["rejected"]] == sorted(seqs)[-KEPT:]
