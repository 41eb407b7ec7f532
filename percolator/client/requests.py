"""Requests: what brings the gateway from what it was asked for to what the program follows.

Each is of one epoch or of one number of recent events, and fits into the gateway's limits.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic_core import to_json

from percolator.client.channel import Channel
from percolator.model.server_messages import Limits

NAMED = 50
"""Channels that a message may name for the price of one message."""
ID_BYTES = 24
"""Bytes of the id, which is added later."""

Request = dict[str, Any]
T = TypeVar("T")


def unsubscribes(names: Iterable[str], limits: Limits) -> Iterator[Request]:
    """Yield requests that leave channels."""
    return _parts(list(names), limits, lambda part: {"type": "unsubscribe", "channels": part})


def subscribes(channels: Iterable[Channel], limits: Limits) -> Iterator[Request]:
    """Yield requests for channels: those with a position resume, the others start."""
    groups: dict[tuple[str | None, int], list[Channel]] = {}
    for channel in channels:
        start = -1 if channel.seq is not None else channel.recent
        groups.setdefault((channel.epoch, start), []).append(channel)
    for group in groups.values():
        yield from _parts(group, limits, _subscribe)


def _subscribe(channels: list[Channel]) -> Request:
    """Return one request for channels that start alike."""
    request: Request = {"type": "subscribe", "channels": [each.name for each in channels]}
    first = channels[0]
    if first.seq is not None:
        request["since"] = {each.name: each.seq for each in channels}
        if first.epoch is not None:
            request["epoch"] = first.epoch
    elif first.recent:
        request["recent"] = first.recent
    return request


def _parts(
    items: list[T], limits: Limits, request: Callable[[list[T]], Request]
) -> Iterator[Request]:
    """Yield requests for items, each with as many as fit."""
    part: list[T] = []
    for item in items:
        if part and not _fits(request([*part, item]), limits):
            yield request(part)
            part = []
        part.append(item)
    if part:
        yield request(part)


def _fits(request: Request, limits: Limits) -> bool:
    named = len(request["channels"])
    if named > min(NAMED, limits.channels or NAMED):
        return False
    return not limits.messageBytes or len(to_json(request)) + ID_BYTES <= limits.messageBytes
