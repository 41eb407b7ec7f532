"""A summary of what a gateway is doing, as log lines: the answer to SIGUSR1. Changes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator

from percolator.app.replayer import Replayer
from percolator.fanout.hub import Hub
from percolator.fanout.hub_summary import summarize
from percolator.gateway.connection import Connection
from percolator.jetstream.feed import Feed

MAX_GROUPS = 50
"""Groups with a line of their own: the largest."""
MAX_CHANNELS = 10
"""Channels of a group that its line names."""


def summary(
    hub: Hub, feed: Feed, replayer: Replayer, connections: Iterable[Connection]
) -> Iterator[str]:
    """Return the lines: connections by state, clients, groups by size, and the feed."""
    states = Counter(connection.state.name.lower() for connection in connections)
    yield f"summary: connections: {_counts(states)}"
    clients = summarize(hub)
    yield (
        f"summary: clients: {clients.paused} paused, {clients.alone} not in a group, "
        f"{replayer.running} replays running"
    )
    groups = sorted(clients.groups, key=lambda group: -group.size)
    yield f"summary: groups: {len(groups)}"
    for group in groups[:MAX_GROUPS]:
        yield f"summary: group of {group.size}: {_names(sorted(group.channels))}"
    if len(groups) > MAX_GROUPS:
        rest = sum(group.size for group in groups[MAX_GROUPS:])
        yield f"summary: {len(groups) - MAX_GROUPS} smaller groups with {rest} clients"
    yield (
        f"summary: feed: {'connected' if feed.connected else 'not connected'}, seq {feed.seq}, "
        f"lag {feed.lag}, {max(feed.restarts, 0)} restarts, trouble: {feed.trouble or 'none'}"
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "none"


def _names(channels: list[str]) -> str:
    shown = ", ".join(channels[:MAX_CHANNELS])
    rest = len(channels) - MAX_CHANNELS
    return f"{shown} and {rest} more" if rest > 0 else shown
