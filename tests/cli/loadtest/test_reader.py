"""The reader: latencies, memory and speed."""

import time
from collections.abc import Callable

import pytest

from percolator_cli.loadtest import reader
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.reference import TRIM_BYTES, Event, read_event
from tests.cli.loadtest.stream import Client, Market, reference

BATCH = 4
"""Events per read, as from a gateway under load."""


def test_readers_count_the_latency_of_each_delivery() -> None:
    """It is the time from sending to reading, per client; prices are not counted."""
    latency = Histogram()
    sent = {"1": 10.0, "2": 10.0, "3": 11.0}
    market, shared = Market(), reference(latency, sent)
    frames = [market.event("trade", size=size) for size in sent]
    one, other = Client(shared), Client(shared)
    one.feed(*frames[:2], market.event("price"), now=10.5)
    one.feed(frames[2], now=11.5)
    other.feed(*frames, now=12.0)
    assert latency.count == 6
    assert latency.max == 2.0
    assert [count for _, count in latency.buckets()] == [3, 1, 2]


def test_readers_count_no_latency_for_events_of_other_publishers() -> None:
    """It is not known when they were sent."""
    latency = Histogram()
    market, shared = Market(), reference(latency)
    Client(shared).feed(market.event("trade"), market.event("funding"), now=1.0)
    assert (latency.count, shared.deliveries) == (0, 2)


def test_the_reference_drops_messages_that_every_reader_has_passed() -> None:
    """Memory stays bounded, and later messages are still compared."""
    market, shared = Market(), reference()
    one, other = Client(shared), Client(shared)
    frame_bytes = 0
    while shared.end < 2 * TRIM_BYTES:
        frames = b"".join(market.event("trade") for _ in range(1_000))
        frame_bytes += len(frames)
        one.feed(frames)
        other.feed(frames)
        shared.trim(min(client.reader.needed for client in (one, other)))
    assert shared.end == frame_bytes
    assert len(shared.data) <= TRIM_BYTES + len(frames)
    late = market.event("trade")
    one.feed(late)
    other.feed(late, late)
    assert one.reader.index == shared.count
    assert len(other.reader.all_spans()) == 2


def test_an_event_is_parsed_once_however_many_clients_get_it(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """The others' bytes are compared with the first's: what that takes is recorded."""
    parsed: list[bytes] = []

    def counted(payload: bytes) -> Event | None:
        parsed.append(payload)
        return read_event(payload)

    monkeypatch.setattr(reader, "read_event", counted)
    market, shared = Market(), reference()
    clients = [Client(shared) for _ in range(500)]
    reads = [memoryview(b"".join(market.event("trade") for _ in range(BATCH))) for _ in range(100)]
    start = time.process_time()
    for read in reads:
        for client in clients:
            client.reader.feed(read, 0.0)
    record_property("CPU seconds for 200,000 deliveries", time.process_time() - start)
    assert shared.deliveries == 200_000
    assert len(parsed) == BATCH * len(reads)
