"""A summary of the hub's clients: how many are paused or stand alone, and the groups."""

from typing import NamedTuple

from percolator.fanout.followers import Cursor
from percolator.fanout.hub import Hub


class GroupSummary(NamedTuple):
    """The channels that the clients of a group follow, and how many clients there are."""

    channels: list[str]
    size: int


class HubSummary(NamedTuple):
    """How many clients are paused, how many stand alone, and the groups."""

    paused: int
    alone: int
    groups: list[GroupSummary]


def summarize(hub: Hub) -> HubSummary:
    """Return the summary of a hub's clients."""
    alone = {
        follower
        for log in hub.book.all_logs()
        for follower in log.followers
        if isinstance(follower, Cursor)
    }
    groups = [
        GroupSummary([log.channel.name for log in group.positions], len(group.members))
        for group in hub.groups
    ]
    return HubSummary(hub.paused, len(alone), groups)
