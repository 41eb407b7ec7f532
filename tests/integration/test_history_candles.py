"""The history of candles over HTTP: minutes from their stream, folded into intervals."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from percolator.app import candle_history
from percolator.jetstream.direct import Stored
from percolator.jetstream.subject_history import SubjectHistory
from percolator.model.queries import INTERVALS
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway
from tests.integration.reading_history import (
    MINUTE_MS,
    Rows,
    ask,
    candle,
    candles_stream,
    walk,
    write,
)

DAY = 1_440
NOW = int(time.time() * 1000) // MINUTE_MS
"""The running minute, counted from 1970."""
FIRST = NOW // DAY * DAY - 3 * DAY
"""A day begins with it."""


@pytest.fixture
async def gateway(start_gateway: StartGateway, stream_name: str) -> AsyncIterator[Gateway]:
    """A gateway with a stream of candles that is still empty."""
    gateway = await start_gateway(candles_stream=f"{stream_name}_CANDLES")
    async with candles_stream(gateway.nats, f"{stream_name}_CANDLES"):
        yield gateway


def some_minutes(seed: int, first: int = FIRST, last: int = NOW) -> Rows:
    """Return candles of many minutes, with holes of different lengths between them."""
    chance = random.Random(seed)  # noqa: S311 - test data
    found: Rows = []
    number = first
    while number < last:
        prices = [round(chance.uniform(1, 9), 2) for _ in range(4)]
        found.append(
            candle(
                number,
                open=prices[0],
                high=max(prices),
                low=min(prices),
                close=prices[3],
                volume=str(chance.randrange(10**38)),
                trades=chance.randrange(1, 100),
                partial=chance.random() < 0.01,
            )
        )
        number += chance.choice([1] * 60 + [2, 7, 100, 700])
    return found


def folded(minutes: Rows, interval: str, epoch: str = "the present one") -> Rows:
    """Fold minutes another way: as the documentation says it, row by row."""
    ms = INTERVALS[interval]
    rows: Rows = []
    for start in sorted({each["start"] // ms * ms for each in minutes}):
        own = [each for each in minutes if start <= each["start"] < start + ms]
        row: dict[str, Any] = {
            "start": start,
            "open": own[0]["open"],
            "high": max(each["high"] for each in own),
            "low": min(each["low"] for each in own),
            "close": own[-1]["close"],
            "volume": str(sum(int(each["volume"]) for each in own)),
            "trades": sum(each["trades"] for each in own),
            "source": "trades",
            "last": own[-1]["last"] if own[-1]["epoch"] == epoch else None,
        }
        if any(each.get("partial") for each in own):
            row["partial"] = True
        if minutes[-1]["start"] + MINUTE_MS < start + ms:
            row["finished"] = False
        rows.append(row)
    return rows


@pytest.mark.parametrize("interval", INTERVALS)
async def test_pages_have_every_candle_once(gateway: Gateway, interval: str) -> None:
    """Back from the newest or on from the oldest; again, when what they read is kept."""
    epoch = gateway.service.hub.book.epoch
    minutes = [{**each, "epoch": epoch} for each in some_minutes(1)]
    await write(gateway.nats, minutes)
    expected = folded(minutes, interval, epoch)
    for limit in (1_000, max(len(expected) // 3, 1)):
        for query in ({}, {"from_": 0}, {"to": (NOW + DAY) * MINUTE_MS}):
            rows, pages = await walk(
                gateway, "SOL/candles", "candles", interval=interval, limit=limit, **query
            )
            assert rows == expected, (limit, query)
            assert pages <= len(expected) // limit + 2


async def test_a_range_has_the_candles_that_start_in_it(gateway: Gateway) -> None:
    """From its first moment on, and before its last."""
    minutes = some_minutes(2)
    await write(gateway.nats, minutes)
    chance = random.Random(3)  # noqa: S311 - test data
    for _ in range(40):
        interval = chance.choice([*INTERVALS])
        start, end = sorted(chance.randrange(FIRST - DAY, NOW + DAY) * 60_000 for _ in range(2))
        start, end = start + chance.choice([0, 1, 59_999]), end + chance.choice([60_000, 60_001])
        rows = [row for row in folded(minutes, interval) if start <= row["start"] < end]
        answer = await ask(gateway, "SOL/candles", interval=interval, from_=start, to=end)
        assert answer["candles"] == rows[:500]
        assert answer["next"] == ({"from": rows[500]["start"]} if len(rows) > 500 else None)
        rows = [row for row in folded(minutes, interval) if row["start"] < end]
        answer = await ask(gateway, "SOL/candles", interval=interval, to=end, limit=100)
        assert answer["candles"] == rows[-100:]
        assert answer["next"] == ({"to": rows[-100]["start"]} if len(rows) > 100 else None)


async def test_an_answer_has_what_the_stream_had_when_it_was_asked(gateway: Gateway) -> None:
    """Each new minute is there at once, and the candle that it belongs to changes."""
    minutes: Rows = []
    for number in range(NOW - 400, NOW):
        minutes.append(candle(number, trades=number % 7))
        await write(gateway.nats, minutes[-1:])
        if number % 37 == 0 or number > NOW - 5:
            for interval in ("1m", "5m", "1d"):
                answer = await ask(gateway, "SOL/candles", interval=interval)
                assert answer["candles"] == folded(minutes, interval), interval


async def test_many_ask_at_once_while_minutes_are_written(gateway: Gateway) -> None:
    """Each gets rows without a hole or a double."""
    minutes = [candle(number) for number in range(NOW - 600, NOW)]
    await write(gateway.nats, minutes[:300])

    async def check() -> int:
        rows = (await ask(gateway, "SOL/candles", limit=1000))["candles"]
        assert rows == folded(minutes[: len(rows)], "1m")
        return len(rows)

    counts: list[int] = []
    for each in minutes[300:]:
        await write(gateway.nats, [each])
        if each["start"] // MINUTE_MS % 20 == 0:
            counts += await asyncio.gather(*(check() for _ in range(10)))
    assert min(counts) >= 300
    assert await check() == 600


async def test_candles_that_were_stored_long_after_their_minutes_are_found(
    gateway: Gateway,
) -> None:
    """A projector that catches up writes days at once: a time of storing says nothing then."""
    minutes = [candle(FIRST - 300 * DAY + number * 10) for number in range(3_000)]
    await write(gateway.nats, minutes)
    middle = minutes[1_500]["start"]
    answer = await ask(gateway, "SOL/candles", from_=middle, limit=10)
    assert answer["candles"] == folded(minutes[1_500:1_510], "1m")
    market = gateway.service.history_pages.candles.chunks.kept
    assert len(market) == 1


async def test_a_hole_of_months_costs_no_request_per_chunk(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways: the next candle is asked for, not the next span of time."""
    minutes = [candle(NOW - 300 * DAY), candle(NOW - 200 * DAY), candle(NOW - 1)]
    await write(gateway.nats, minutes)
    asked: list[int] = []
    at = SubjectHistory.at

    async def counted(self: SubjectHistory, seq: int, limit: int = 256) -> object:
        asked.append(seq)
        return await at(self, seq, limit)

    monkeypatch.setattr(SubjectHistory, "at", counted)
    for query in ({}, {"from_": 0}):
        assert (await ask(gateway, "SOL/candles", **query))["candles"] == folded(minutes, "1m")
    assert len(asked) < 20


async def test_an_answer_reads_a_bounded_number_of_minutes(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It then has fewer rows, and a cursor; what is kept is not read again."""
    monkeypatch.setattr(candle_history, "MAX_MINUTES", 1_000)
    minutes = [candle(number) for number in range(FIRST, FIRST + 2 * DAY)]
    await write(gateway.nats, minutes)
    for interval, query in (("1h", {}), ("15m", {"from_": 0})):
        expected = folded(minutes, interval)
        answer = await ask(gateway, "SOL/candles", interval=interval, **query)
        assert 0 < len(answer["candles"]) < len(expected)
        for more_pages in (True, False):
            rows, pages = await walk(gateway, "SOL/candles", "candles", interval=interval, **query)
            assert (rows, pages > 1) == (expected, more_pages)


async def test_a_finished_range_may_be_kept(gateway: Gateway) -> None:
    """By browsers and proxies for an hour; the newest rows only with a question."""
    minutes = [candle(number) for number in range(FIRST, FIRST + 700)]
    await write(gateway.nats, minutes)
    start, inside = FIRST * MINUTE_MS, (FIRST + 100) * MINUTE_MS
    for query, lasting in (
        (f"from={start}&to={inside}", True),
        (f"from={start}&limit=50", True),
        (f"to={inside}", True),
        (f"to={inside}&interval=1h", True),
        (f"from={start}", False),
        (f"from={start}&limit=1000", False),
        (f"from={start}&to={(NOW + 9) * MINUTE_MS}", False),
        (f"from={NOW * MINUTE_MS}&to={(NOW + 9) * MINUTE_MS}", False),
        ("", False),
    ):
        path = f"/markets/SOL/candles?{query}"
        status, headers, body = await gateway.get(path)
        expected = "public, max-age=3600" if lasting else "public, no-cache"
        assert (status, headers["cache-control"]) == (200, expected), query
        status, again, rest = await gateway.get(path, f"If-None-Match: W/{headers['etag']}\r\n")
        assert (status, again["etag"], rest) == (304, headers["etag"], b"")
        assert (await gateway.get(path))[2] == body


async def test_candles_of_another_stream_of_events_have_no_seq(gateway: Gateway) -> None:
    """A minute in which that was replaced is one candle of both halves."""
    epoch = gateway.service.hub.book.epoch
    minutes = [
        candle(FIRST, epoch="old"),
        candle(FIRST + 1, epoch="old", close=3.0),
        candle(FIRST + 1, epoch=epoch, last=7, close=4.0),
        candle(FIRST + 2, epoch=epoch, last=8),
    ]
    await write(gateway.nats, minutes)
    rows = (await ask(gateway, "SOL/candles"))["candles"]
    assert [row["last"] for row in rows] == [None, 7, 8]
    assert (rows[1]["close"], rows[1]["trades"], rows[1]["volume"]) == (4.0, 4, "20")


async def test_a_stream_of_candles_that_was_replaced_is_read_again(
    gateway: Gateway, stream_name: str
) -> None:
    """What is kept of the newest chunk belongs to the old one."""
    await write(gateway.nats, [candle(number) for number in range(NOW - 10, NOW)])
    assert len((await ask(gateway, "SOL/candles"))["candles"]) == 10
    context = gateway.nats.jetstream()
    await context.purge_stream(f"{stream_name}_CANDLES")
    minutes = [candle(number, close=7.0) for number in range(NOW - 5, NOW)]
    await write(gateway.nats, minutes)
    assert (await ask(gateway, "SOL/candles"))["candles"] == folded(minutes, "1m")
    await context.delete_stream(f"{stream_name}_CANDLES")
    async with candles_stream(gateway.nats, f"{stream_name}_CANDLES"):
        minutes = [candle(number, close=8.0) for number in range(NOW - 30, NOW)]
        await write(gateway.nats, minutes)
        assert (await ask(gateway, "SOL/candles"))["candles"] == folded(minutes, "1m")
        status, _, _ = await gateway.get("/markets/BTC/candles")
        assert status == 404
    status, _, body = await gateway.get("/markets/SOL/candles")
    assert status == 503
    assert b"stream not found" in body
    await context.add_stream(name=f"{stream_name}_CANDLES", subjects=["percolator.candle.>"])


async def test_a_market_without_candles_has_an_empty_list(gateway: Gateway) -> None:
    """One without events too is 404."""
    seq = await gateway.publish("price", "SOL")
    await gateway.has_read(seq)
    assert await ask(gateway, "SOL/candles", interval="1d") == {
        "slab": "SOL",
        "interval": "1d",
        "epoch": gateway.service.hub.book.epoch,
        "candles": [],
        "next": None,
    }
    assert (await gateway.get("/markets/BTC/candles"))[0] == 404
    status, _, body = await gateway.get("/markets/SOL/candles?interval=2m")
    sentence = b'interval must be 1m, 5m, 15m, 1h, 4h or 1d, got "2m".\n'
    assert (status, body) == (400, sentence)


async def test_a_replica_that_lags_hides_no_candle(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks is asked of the leader."""
    minutes = [candle(number) for number in range(NOW - 20, NOW)]
    await write(gateway.nats, minutes)
    at = SubjectHistory.at

    async def lagging(self: SubjectHistory, seq: int, limit: int = 256) -> object:
        batch = await at(self, seq, limit)
        events: list[Stored] = [event for event in batch.events if event.seq <= 15]
        return batch._replace(events=events)

    monkeypatch.setattr(SubjectHistory, "at", lagging)
    assert (await ask(gateway, "SOL/candles"))["candles"] == folded(minutes, "1m")


async def test_clients_that_leave_end_the_work_on_their_answers(gateway: Gateway) -> None:
    """Nothing of it is left; the others get theirs."""
    await write(gateway.nats, [candle(number) for number in range(FIRST, FIRST + 2 * DAY)])
    leaving = [await gateway.dial() for _ in range(60)]
    for client in leaving:
        client.write(b"GET /markets/SOL/candles?interval=1d HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = asyncio.create_task(gateway.get("/markets/SOL/candles?interval=1h"))
    for client in leaving:
        client.abort()
    status, _, body = await answer
    assert (status, len(json.loads(body)["candles"])) == (200, 48)


async def test_an_answer_that_takes_too_long_is_503(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, short_deadlines: None
) -> None:
    """Then the request is over, and nothing is left of it."""
    del short_deadlines
    monkeypatch.setattr("percolator.gateway.connection.ANSWER_SECONDS", 0.1)

    async def forever(self: SubjectHistory) -> None:
        del self
        await asyncio.Event().wait()

    monkeypatch.setattr(SubjectHistory, "newest", forever)
    status, headers, body = await gateway.get("/markets/SOL/candles")
    assert (status, headers["retry-after"]) == (503, "5")
    assert headers["access-control-allow-origin"] == "*"
    assert body.startswith(b"This takes too long at the moment")


async def test_a_shutdown_answers_those_that_wait(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 503, once the clients are closed."""
    asked = asyncio.Event()

    async def forever(self: SubjectHistory) -> None:
        del self
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(SubjectHistory, "newest", forever)
    answer = asyncio.create_task(gateway.get("/markets/SOL/candles"))
    await asked.wait()
    assert b"\npercolator_answers_waiting 1.0\n" in (await gateway.get("/metrics"))[2]
    await gateway.service.gateway.stop(1)
    status, _, body = await answer
    assert (status, body) == (503, b"The gateway is shutting down.\n")
