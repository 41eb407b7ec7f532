"""Summary: what the answer to SIGUSR1 says."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from percolator.app.summary import MAX_CHANNELS, MAX_GROUPS, summary
from percolator.gateway.connection import State
from tests.unit.fanout.harness import HubHarness

FEED = {"connected": True, "seq": 7, "lag": 2, "restarts": 1, "trouble": ""}


def lines(harness: HubHarness, states: Sequence[State] = (), **feed: object) -> list[str]:
    """Return the summary of a hub, with one replay running."""
    parts: tuple[Any, ...] = (
        SimpleNamespace(**{**FEED, **feed}),
        SimpleNamespace(running=1),
        [SimpleNamespace(state=state) for state in states],
    )
    return list(summary(harness.hub, *parts))


def test_the_summary_counts_connections_clients_groups_and_replays() -> None:
    """Groups come by size, with their channels."""
    harness = HubHarness()
    harness.client("trades:BTC")
    for _ in range(2):
        harness.client("price:SOL", "trades:SOL")
    paused = harness.client("price:ETH")
    harness.hub.pause(paused.cursor)
    assert lines(harness, [State.OPEN, State.OPEN, State.HEAD]) == [
        "summary: connections: 1 head, 2 open",
        "summary: clients: 1 paused, 1 not in a group, 1 replays running",
        "summary: groups: 2",
        "summary: group of 2: price:SOL, trades:SOL",
        "summary: group of 1: trades:BTC",
        "summary: feed: connected, seq 7, lag 2, 1 restarts, trouble: none",
    ]


def test_the_summary_of_a_gateway_without_clients_or_nats_is_complete() -> None:
    """It says why there is no feed."""
    assert lines(HubHarness(), connected=False, restarts=-1, trouble="nothing answers there") == [
        "summary: connections: none",
        "summary: clients: 0 paused, 0 not in a group, 1 replays running",
        "summary: groups: 0",
        "summary: feed: not connected, seq 7, lag 2, 0 restarts, trouble: nothing answers there",
    ]


def test_the_summary_is_bounded_with_many_groups_and_channels() -> None:
    """The largest groups have a line each; the rest are counted."""
    harness = HubHarness()
    for number in range(MAX_GROUPS + 2):
        harness.client(f"trades:M{number}")
    harness.client(*(f"price:M{number}" for number in range(MAX_CHANNELS + 3)))
    harness.client(*(f"price:M{number}" for number in range(MAX_CHANNELS + 3)))
    found = lines(harness)
    assert f"summary: groups: {MAX_GROUPS + 3}" in found
    assert len([line for line in found if " group of " in line]) == MAX_GROUPS
    assert "summary: 3 smaller groups with 3 clients" in found
    (largest,) = [line for line in found if "group of 2" in line]
    assert largest.endswith(" and 3 more")
