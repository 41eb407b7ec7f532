"""The history of events over HTTP: pages of a channel, forward and backward, from the stream."""

import asyncio
import json
import time
from typing import Any

import pytest

from percolator.jetstream.direct import Batch
from percolator.jetstream.stream import definition
from percolator.jetstream.subject_history import PAGE, SubjectHistory
from tests.client import PATIENCE
from tests.gateway import Gateway, event_json, eventually
from tests.integration.authenticating import SECRET, token
from tests.integration.conftest import StartGateway
from tests.integration.reading_history import ask, walk

COUNT = 700


async def fill(gateway: Gateway, count: int = COUNT) -> list[int]:
    """Publish trades of SOL among other events; return the seqs of the trades of SOL."""
    context = gateway.nats.jetstream()
    acks = []
    for number in range(count):
        acks.append(
            await context.publish_async(
                "percolator.trade.SOL", event_json("trade", size=str(number))
            )
        )
        for _ in range(number % 3):
            await context.publish_async("percolator.trade.BTC", event_json("trade"))
    await context.publish_async_completed()
    seqs = [(await ack).seq for ack in acks]
    await gateway.has_read(seqs[-1])
    return seqs


def seqs_of(rows: list[dict[str, Any]]) -> list[int]:
    """Return the seqs of rows."""
    return [row["seq"] for row in rows]


@pytest.mark.parametrize("query", [{}, {"after": 0}, {"from_": 0}, {"before": 10**6}])
@pytest.mark.parametrize("limit", [1_000, 700, 99])
async def test_pages_have_every_event_once(
    gateway: Gateway, query: dict[str, int], limit: int
) -> None:
    """From the newest back or from the oldest on, in order, with the seq of the one before."""
    seqs = await fill(gateway)
    rows, pages = await walk(gateway, "SOL/trades", "events", **query, limit=limit)
    assert seqs_of(rows) == seqs
    assert [row["size"] for row in rows] == [str(number) for number in range(COUNT)]
    prevs = [row["prev"] for row in rows]
    assert prevs == [0, *seqs[:-1]]
    assert pages == -(-COUNT // limit)


async def test_a_row_is_what_a_subscriber_gets(gateway: Gateway) -> None:
    """Without type and market, which the answer names once; with the epoch of the greeting.

    What the publisher added is there too.
    """
    client = await gateway.handshake()
    epoch = (await client.receive())["epoch"]
    await client.subscribed("liquidations:SOL", "funding:SOL", "trades:SOL")
    for kind in ("trade", "funding", "liquidation"):
        await gateway.publish(kind, "SOL", venue="X")
    events = {event["type"]: event for event in await client.receive_many(3)}
    for kind, prefix in (
        ("trade", "trades"),
        ("funding", "funding"),
        ("liquidation", "liquidations"),
    ):
        event = events[kind]
        assert event["venue"] == "X"
        del event["type"], event["slab"]
        assert await ask(gateway, f"SOL/{prefix}") == {
            "slab": "SOL",
            "channel": f"{prefix}:SOL",
            "epoch": epoch,
            "events": [event],
            "next": None,
        }


async def test_pages_have_every_event_once_while_events_arrive(gateway: Gateway) -> None:
    """Backward, those before the first page; forward, all that came before the last page."""
    seqs = await fill(gateway)

    enough = asyncio.Event()

    async def publish() -> None:
        while not enough.is_set():
            seqs.append(await gateway.publish("trade", "SOL"))

    publishing = asyncio.create_task(publish())
    try:
        back, _ = await walk(gateway, "SOL/trades", "events", limit=50)
        forward, _ = await walk(gateway, "SOL/trades", "events", after=0, limit=200)
    finally:
        enough.set()
        await publishing
    stored = await stream_seqs(gateway)
    assert len(back) >= COUNT
    assert seqs_of(back) == stored[: len(back)]
    assert len(forward) >= len(back)
    assert seqs_of(forward) == stored[: len(forward)]


async def stream_seqs(gateway: Gateway) -> list[int]:
    """Return the seqs of all trades of SOL that the stream holds, read with a consumer."""
    context = gateway.nats.jetstream()
    info = await context.stream_info(
        gateway.service.settings.stream, subjects_filter="percolator.trade.SOL"
    )
    count = (info.state.subjects or {})["percolator.trade.SOL"]
    subscription = await context.subscribe("percolator.trade.SOL", ordered_consumer=True)
    found = [(await subscription.next_msg(PATIENCE)).metadata.sequence.stream for _ in range(count)]
    await subscription.unsubscribe()
    return found


async def test_history_and_live_join_without_a_hole(gateway: Gateway) -> None:
    """A client that subscribes, then reads what came before its first event, has everything."""
    seqs = await fill(gateway, 300)
    client = await gateway.client("trades:SOL")
    seqs += [await gateway.publish("trade", "SOL") for _ in range(5)]
    live = await client.receive_many(5)
    answer = await ask(gateway, "SOL/trades", before=live[0]["seq"], limit=1000)
    assert seqs_of(answer["events"]) + seqs_of(live) == seqs
    assert answer["events"][-1]["seq"] == live[0]["prev"]


async def test_a_time_is_that_at_which_the_stream_stored_an_event(gateway: Gateway) -> None:
    """What was stored before it is not shown, whatever timestamp a publisher wrote."""
    early = await gateway.publish("trade", "SOL", timestamp=int(time.time() * 1000))
    info = await gateway.nats.jetstream().get_msg(gateway.service.settings.stream, early)
    assert info.time is not None
    ms = int(info.time.timestamp() * 1000) + 1
    await eventually(lambda: time.time() * 1000 > ms + 1)
    late = await gateway.publish("trade", "SOL", timestamp=10**12)
    await gateway.has_read(late)
    answer = await ask(gateway, "SOL/trades", from_=ms)
    assert [(row["seq"], row["prev"]) for row in answer["events"]] == [(late, early)]
    assert (await ask(gateway, "SOL/trades", from_=ms + 10**9))["events"] == []
    assert (await ask(gateway, "SOL/trades", from_=2**53 - 1))["events"] == []


async def test_an_event_that_was_rejected_is_not_shown(gateway: Gateway) -> None:
    """It is no row and no `prev`, but the pages go past it."""
    first = await gateway.publish("trade", "SOL")
    for _ in range(30):
        await gateway.publish_raw("percolator.trade.SOL", b"not JSON")
    last = await gateway.publish("trade", "SOL")
    await gateway.has_read(last)
    for query in ({"after": 0}, {"limit": 10}, {"limit": 1}):
        rows, _ = await walk(gateway, "SOL/trades", "events", **query)
        assert seqs_of(rows) == [first, last], query
    answer = await ask(gateway, "SOL/trades", after=0)
    assert [row["prev"] for row in answer["events"]] == [0, first]


async def test_a_prev_is_null_if_the_stream_has_dropped_what_was_before(
    gateway: Gateway, stream_name: str
) -> None:
    """It is not known whether there was an event."""
    seqs = await fill(gateway, 20)
    await gateway.nats.jetstream().purge_stream(stream_name, seq=seqs[10])
    for query in ({"after": 0}, {}, {"from_": 0}):
        answer = await ask(gateway, "SOL/trades", **query)
        assert seqs_of(answer["events"]) == seqs[10:]
        assert answer["events"][0]["prev"] is None


async def test_a_page_that_cannot_change_may_be_kept(gateway: Gateway) -> None:
    """If its URL names the epoch: then the same URL has the same answer."""
    seqs = await fill(gateway, 50)
    epoch = gateway.service.hub.book.epoch
    kept = "public, max-age=3600"
    for query, expected in (
        (f"before={seqs[-1]}&epoch={epoch}", kept),
        (f"after=0&limit=10&epoch={epoch}", kept),
        (f"before={seqs[-1]}", "public, no-cache"),
        (f"before={seqs[-1] + 10**6}&epoch={epoch}", "public, no-cache"),
        (f"after=0&epoch={epoch}", "public, no-cache"),
        ("", "public, no-cache"),
    ):
        path = f"/markets/SOL/trades?{query}"
        status, headers, body = await gateway.get(path)
        assert (status, headers["cache-control"]) == (200, expected), query
        assert headers["content-type"] == "application/json"
        again = await gateway.get(path)
        assert (again[0], again[1]["etag"], again[2]) == (200, headers["etag"], body)
        status, unchanged, rest = await gateway.get(path, f"If-None-Match: {headers['etag']}\r\n")
        assert (status, unchanged["etag"], rest) == (304, headers["etag"], b"")
        assert "content-length" not in unchanged


async def test_a_new_event_changes_the_tag_of_the_newest_page(gateway: Gateway) -> None:
    """A client that has the old page gets the new one."""
    await fill(gateway, 5)
    _, headers, _ = await gateway.get("/markets/SOL/trades")
    seq = await gateway.publish("trade", "SOL")
    status, _, body = await gateway.get(
        "/markets/SOL/trades", f"If-None-Match: {headers['etag']}\r\n"
    )
    assert (status, json.loads(body)["events"][-1]["seq"]) == (200, seq)


async def test_a_kept_page_is_answered_while_nats_is_away(
    start_gateway: StartGateway,
) -> None:
    """It is sent from memory; another one is not."""
    gateway = await start_gateway()
    seqs = await fill(gateway, 20)
    epoch = gateway.service.hub.book.epoch
    path = f"/markets/SOL/trades?before={seqs[-1]}&epoch={epoch}"
    first = await gateway.get(path)
    client, gateway.service.feed.client = gateway.service.feed.client, None
    try:
        assert (await gateway.get(path))[2] == first[2]
        status, headers, body = await gateway.get("/markets/SOL/trades")
    finally:
        gateway.service.feed.client = client
    assert (status, headers["retry-after"]) == (503, "1")
    assert body == (b"History cannot be read at the moment: not connected to NATS at the moment.\n")


async def test_an_epoch_that_has_passed_is_410(gateway: Gateway, stream_name: str) -> None:
    """And no answer mixes two streams."""
    seqs = await fill(gateway, 5)
    old = gateway.service.hub.book.epoch
    context = gateway.nats.jetstream()
    await context.delete_stream(stream_name)
    await context.add_stream(definition(stream_name))
    new = await gateway.publish("trade", "SOL")
    await eventually(lambda: gateway.service.hub.book.epoch != old)
    await gateway.has_read(new)
    status, _, body = await gateway.get(f"/markets/SOL/trades?before={seqs[-1]}&epoch={old}")
    assert status == 410
    assert body == b"The stream was replaced: this epoch is not the present one.\n"
    answer = await ask(gateway, "SOL/trades")
    assert answer["epoch"] == gateway.service.hub.book.epoch
    assert seqs_of(answer["events"]) == [new]


@pytest.mark.parametrize(
    "path", ["NONE/trades", "/trades", "*/trades", "SOL/price", "SOL/nothing", "SOL/trades/more"]
)
async def test_a_market_or_channel_that_is_not_there_is_404(gateway: Gateway, path: str) -> None:
    """Prices have no history: the latest wins."""
    await fill(gateway, 1)
    assert (await gateway.get(f"/markets/{path}"))[0] == 404


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", 'limit must be a whole number from 1 to 1000, got "0".'),
        ("before=1&after=2", "Use only one of before, after and from, not before and after."),
        (
            "to=1",
            'There is no parameter "to" here; there are before, after, from, limit and epoch.',
        ),
        (
            "limit=%C3%A9%1B[2J",
            'limit must be a whole number from 1 to 1000, got "é\\x1b[2J".',
        ),
        ("limit=%ff", 'limit must be a whole number from 1 to 1000, got "\ufffd".'),
    ],
)
async def test_a_query_that_is_not_valid_is_400(
    gateway: Gateway, query: str, sentence: str
) -> None:
    """One sentence says what to change."""
    await fill(gateway, 1)
    status, _, body = await gateway.get(f"/markets/SOL/trades?{query}")
    assert (status, body.decode()) == (400, sentence + "\n")


async def test_a_token_must_cover_the_channel(start_gateway: StartGateway) -> None:
    """What it covers may be kept by the browser alone."""
    gateway = await start_gateway(auth=True, auth_secret=SECRET)
    await fill(gateway, 2)
    for good in ("trades:SOL", "*"):
        path = f"/markets/SOL/trades?token={token(good)}"
        status, headers, _ = await gateway.get(path)
        assert (status, headers["cache-control"]) == (200, "private, no-cache")
        assert headers["vary"] == "Authorization"
    for path in ("SOL/trades", "SOL/candles"):
        status, _, body = await gateway.get(
            f"/markets/{path}", f"Authorization: Bearer {token('funding:SOL', 'trades:BTC')}\r\n"
        )
        assert (status, body) == (403, b"The token does not cover trades:SOL.\n")
        assert (await gateway.get(f"/markets/{path}"))[0] == 401


async def test_pages_of_other_origins_may_read_it(gateway: Gateway) -> None:
    """With the tag, and also why a request is refused."""
    await fill(gateway, 1)
    for path, expected in (("SOL/trades", 200), ("SOL/trades?limit=0", 400), ("NO/trades", 404)):
        status, headers, _ = await gateway.get(
            f"/markets/{path}", "Origin: https://page.example\r\n"
        )
        assert (status, headers["access-control-allow-origin"]) == (expected, "*")
        assert headers["access-control-expose-headers"] == "ETag, Retry-After"


async def test_head_is_answered_without_the_body(gateway: Gateway) -> None:
    """With the headers of GET."""
    await fill(gateway, 3)
    path = "/markets/SOL/trades"
    _, got, body = await gateway.get(path)
    status, headers, nothing = await gateway.request(
        f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    assert (status, nothing, headers["etag"]) == (200, b"", got["etag"])
    assert headers["content-length"] == str(len(body))


async def test_an_address_has_a_rate(start_gateway: StartGateway) -> None:
    """History is limited as any plain request is."""
    gateway = await start_gateway(requests_per_second=0.001, request_burst=3)
    await gateway.publish("trade", "SOL")
    await gateway.has_read(1)
    answers = [await gateway.get("/markets/SOL/trades") for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert answers[-1][1]["retry-after"] == "1"


async def test_a_seq_far_ahead_costs_no_more_than_the_newest(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place to start from is looked for among the seqs that there are."""
    seqs = await fill(gateway, 3_000)
    read: list[int] = []
    at = SubjectHistory.at

    async def counted(self: SubjectHistory, seq: int, limit: int = PAGE) -> Batch:
        batch = await at(self, seq, limit)
        read.append(len(batch.events))
        return batch

    monkeypatch.setattr(SubjectHistory, "at", counted)
    for before in (seqs[-1] + 1, 10**9, 2**53 - 1):
        read.clear()
        answer = await ask(gateway, "SOL/trades", before=before, limit=10)
        assert seqs_of(answer["events"]) == seqs[-10:]
        assert sum(read) <= 10 + 2 * PAGE, before


async def test_a_page_ends_however_fast_events_arrive(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has what there was when it was asked for, and perhaps a little more."""
    seqs = await fill(gateway, 5)
    at = SubjectHistory.at

    async def racing(self: SubjectHistory, seq: int, limit: int = PAGE) -> Batch:
        seqs.append(await gateway.publish("trade", "SOL"))
        return await at(self, seq, limit)

    monkeypatch.setattr(SubjectHistory, "at", racing)
    for query in ({"after": 0}, {"from_": 0}, {}, {"before": 2**53 - 1}):
        before = len(seqs)
        answer = await ask(gateway, "SOL/trades", **query, limit=1000)
        found = seqs_of(answer["events"])
        assert found == seqs[: len(found)]
        assert before <= len(found) < before + 10
        assert answer["next"] is None
