"""The subscribes of a client, sized and paced by the limits that the gateway has told it."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from percolator.model.server_messages import Limits


class Request(NamedTuple):
    """A message, and how many seconds after the reply to the last one it is sent."""

    fields: dict[str, Any]
    after: float


def subscribes(
    channels: Sequence[str], limits: Limits, *, per_message: int = 0, **resume: object
) -> list[Request]:
    """Return subscribes for these channels, each with at most `per_message` of them; 0: no limit.

    The first ones are sent as a burst, the others at the rate. `resume` are fields of each.
    """
    size = min(number for number in (limits.channels, per_message, len(channels)) if number)
    found: list[Request] = []
    left = list(channels)
    while left:
        names = left[:size]
        while len(names) > 1 and _is_too_long(names, resume, limits):
            names.pop()
        left = left[len(names) :]
        pause = 1 / limits.messagesPerSecond if limits.messagesPerSecond else 0
        is_burst = len(found) < limits.messageBurst
        found.append(Request(_subscribe(names, resume), 0 if is_burst else pause))
    return found


def _subscribe(names: list[str], resume: dict[str, Any]) -> dict[str, Any]:
    return {"type": "subscribe", "channels": names, **resume}


def _is_too_long(names: list[str], resume: dict[str, Any], limits: Limits) -> bool:
    length = len(json.dumps(_subscribe(names, resume)))
    return 0 < limits.messageBytes < length
