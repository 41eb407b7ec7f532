"""The hub's summary: what its clients are doing."""

from percolator.fanout.hub_summary import GroupSummary, HubSummary, summarize
from tests.unit.fanout.harness import HubHarness


def test_the_summary_of_a_hub_without_clients_is_empty(harness: HubHarness) -> None:
    assert summarize(harness.hub) == HubSummary(paused=0, alone=0, groups=[])


def test_the_summary_names_each_group_with_its_channels_and_its_size(harness: HubHarness) -> None:
    """The order of the channels is that of the client that came first."""
    for _ in range(2):
        harness.client("price:SOL", "trades:SOL")
    harness.client("trades:BTC")
    assert summarize(harness.hub).groups == [
        GroupSummary(["price:SOL", "trades:SOL"], 2),
        GroupSummary(["trades:BTC"], 1),
    ]


def test_the_summary_counts_a_lone_client_once_over_all_its_channels(
    harness: HubHarness,
) -> None:
    """A paused client has left its group."""
    client = harness.client("price:SOL", "trades:SOL")
    harness.hub.pause(client.cursor)
    assert summarize(harness.hub) == HubSummary(paused=1, alone=1, groups=[])
