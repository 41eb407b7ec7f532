"""/metrics: what Prometheus reads matches what happened, and its size stays bounded."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from percolator.app.metrics import MAX_SLABS, OTHER
from tests.client import close_frame
from tests.gateway import Gateway, eventually
from tests.integration.conftest import StartGateway

TOKEN = "a token for the scraper"
Samples = dict[str, float]


async def scrape(gateway: Gateway) -> Samples:
    """Return every sample by its name and its one label: `percolator_events_total{trade}`."""
    status, headers, body = await gateway.get("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return dict(_samples(body.decode()))


def _samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            label = "".join(f"{{{value}}}" for value in sample.labels.values())
            yield sample.name + label, sample.value


async def test_the_counters_match_what_happened(gateway: Gateway) -> None:
    """Clients, events, messages and bytes; refusals and closes."""
    clients = await gateway.clients(3, "trades:SOL", "price:SOL")
    await gateway.client("price:BTC")
    for _ in range(5):
        seq = await gateway.publish("trade", "SOL")
    await gateway.publish("price", "BTC")
    bad = await gateway.publish_raw("percolator.price.SOL", b"{}")
    for client in clients:
        await client.receive_until(lambda message: message.get("seq") == seq)
    await gateway.has_read(bad)
    clients[0].write(close_frame(1000))
    clients[1].write(close_frame(4321))
    await clients[0].gone()
    await clients[1].gone()
    await eventually(lambda: len(gateway.service.gateway.connections) == 2)
    found, stats = await scrape(gateway), await gateway.stats()
    expected = {
        "percolator_connections": 2,
        "percolator_connections_limit": 1000,
        "percolator_addresses": 1,
        "percolator_clients_behind": 0,
        "percolator_events_total{trade}": 5,
        "percolator_events_total{price}": 1,
        "percolator_events_total{funding}": 0,
        "percolator_events_rejected_total{invalid_price}": 1,
        "percolator_connections_closed_total{1000}": 1,
        "percolator_connections_closed_total{4000}": 1,
        "percolator_slab_connections{SOL}": 1,
        "percolator_slab_connections{BTC}": 1,
        "percolator_feed_connected": 1,
        "percolator_feed_loaded": 1,
        "percolator_feed_lag_events": 0,
        "percolator_feed_restarts_total": 0,
        "percolator_seq": bad,
        "percolator_stream_seq": bad,
        "percolator_channels": 3,
        "percolator_gaps_total": 0,
        "percolator_messages_sent_total": gateway.service.stats.messages_sent,
        "percolator_bytes_sent_total": gateway.service.stats.bytes_sent,
        "percolator_messages_received_total": gateway.service.stats.messages_received,
    }
    assert {name: found[name] for name in expected} == expected
    assert stats["totalConnections"] == 2
    assert 0 <= found["percolator_feed_silent_seconds"] <= stats["uptimeSeconds"] + 1
    assert found["process_resident_memory_bytes"] > 1_000_000


async def test_durations_are_histograms(start_gateway: StartGateway) -> None:
    """Flushes by duration and size, pongs, and the event loop's lag."""
    gateway = await start_gateway(ping_interval=0.1)
    client = await gateway.client("trades:SOL")
    seq = await gateway.publish("trade", "SOL")
    await client.receive_until(lambda message: message.get("seq") == seq)
    await eventually(lambda: sum(gateway.service.heartbeat.pongs.counts) > 0)
    found = await scrape(gateway)
    for name in ("flush_seconds", "flush_bytes", "pong_seconds", "loop_lag_seconds"):
        assert found[f"percolator_{name}_bucket{{+Inf}}"] == found[f"percolator_{name}_count"] > 0
        assert found[f"percolator_{name}_sum"] >= 0
        buckets = [value for key, value in found.items() if f"{name}_bucket" in key]
        assert buckets == sorted(buckets)
    assert found["percolator_flush_bytes_sum"] >= len(client.texts[-1])


async def test_resumes_are_counted_by_their_source(start_gateway: StartGateway) -> None:
    """From memory, or from the stream if memory does not reach back far enough."""
    gateway = await start_gateway(log_capacity=2)
    for _ in range(6):
        seq = await gateway.publish("trade", "SOL")
    await gateway.has_read(seq)
    for since in (seq - 1, seq - 5):
        client = await gateway.client()
        client.subscribe("trades:SOL", since=since)
        await client.receive_until(lambda message: message.get("seq") == seq)
    found = await scrape(gateway)
    assert found["percolator_replays_total{memory}"] == 1
    assert found["percolator_replays_total{stream}"] == 1


async def test_no_client_can_make_the_page_long(gateway: Gateway) -> None:
    """Slabs without events have no sample of their own, and of the others only the busiest have."""
    slabs = [f"slab-{number}" for number in range(MAX_SLABS + 10)]
    for slab in slabs:
        seq = await gateway.publish("price", slab)
    await gateway.has_read(seq)
    for start in range(0, len(slabs), 30):
        client = await gateway.client(*(f"price:{slab}" for slab in slabs[start : start + 30]))
    await client.subscribed(*(f"price:made-up-{number}" for number in range(20)))
    found = await scrape(gateway)
    by_slab = {name: value for name, value in found.items() if "slab_connections" in name}
    assert len(by_slab) == MAX_SLABS + 1
    assert by_slab[f"percolator_slab_connections{{{OTHER}}}"] == 10 + 20
    assert not any("made-up" in name for name in found)


async def test_a_scrape_changes_nothing(gateway: Gateway) -> None:
    """Two scrapes in a row show the same, except for values that change by themselves."""
    await gateway.client("trades:SOL")
    first, second = await scrape(gateway), await scrape(gateway)
    moving = ("process_", "percolator_loop_lag", "percolator_feed_silent", "percolator_bytes_rec")
    changed = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    assert {name for name in changed if not name.startswith(moving)} == set()


@pytest.mark.parametrize("path", ["/metrics", "/ws/stats"])
async def test_the_counters_require_the_metrics_token(
    path: str, start_gateway: StartGateway
) -> None:
    """The exact token, as a bearer; /health stays open for load balancers."""
    gateway = await start_gateway(stats_token=TOKEN)
    wrong = ["", f"Authorization: Bearer {TOKEN}x", f"Authorization: Bearer {TOKEN[:-1]}"]
    wrong += [f"Authorization: Basic {TOKEN}", "Authorization: Bearer", "Authorization: Bearer é"]
    for header in wrong:
        status, headers, body = await gateway.get(path, f"{header}\r\n" if header else "")
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in body.decode()
    status, _, _ = await gateway.get(f"{path}?token=x", f"authorization: bearer {TOKEN}\r\n")
    assert status == 200
    assert (await gateway.get("/health"))[0] == 200


async def test_an_address_that_guesses_the_metrics_token_is_refused_with_each_wrong_one(
    start_gateway: StartGateway,
) -> None:
    """After ten wrong tokens with each wrong one; the right token is always accepted."""
    gateway = await start_gateway(stats_token=TOKEN)
    for _ in range(20):
        assert (await gateway.get("/metrics"))[0] == 401
    guesses = [gateway.get("/metrics", "Authorization: Bearer x\r\n") for _ in range(30)]
    statuses = [status for status, _, _ in await asyncio.gather(*guesses)]
    assert set(statuses) == {401, 429}
    assert (await gateway.get("/metrics"))[0] == 401
    assert (await gateway.get("/metrics", f"Authorization: Bearer {TOKEN}\r\n"))[0] == 200
