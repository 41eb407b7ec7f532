"""Requests: sized by the gateway's limits."""

import json
from collections.abc import Sequence

import pytest

from percolator.client.bookmark import Position
from percolator.client.channel import Channel
from percolator.client.requests import NAMED, Request, subscribes, unsubscribes
from percolator.model.server_messages import Limits


def size(request: Request) -> int:
    """Return the bytes of a request with an id of ten digits."""
    return len(json.dumps(request | {"id": 10**9}, separators=(",", ":")))


def named(requests: Sequence[Request]) -> list[str]:
    """Return all channels that requests name, in order."""
    return [name for request in requests for name in request["channels"]]


@pytest.mark.parametrize("limit", [400, 512, 4_096])
@pytest.mark.parametrize("start", [None, Position("an-epoch", 2**53 - 1)])
def test_a_request_has_at_most_the_bytes_that_the_gateway_accepts(
    limit: int, start: Position | None
) -> None:
    """Those that resume name each channel twice."""
    names = [f"trades:{number:044}" for number in range(120)]
    limits = Limits(messageBytes=limit)
    asking = list(subscribes([Channel(name, start=start) for name in names], limits))
    leaving = list(unsubscribes(names, limits))
    for requests in (asking, leaving):
        assert max(map(size, requests)) <= limit
        assert named(requests) == names
    assert len(asking) < len(names)


@pytest.mark.parametrize(("channels", "most"), [(0, NAMED), (7, 7), (200, NAMED)])
def test_a_request_names_at_most_the_channels_that_the_gateway_accepts(
    channels: int, most: int
) -> None:
    """And never more than are paid for by one message; 0 is no limit."""
    limits = Limits(channels=channels, messageBytes=0)
    requests = list(subscribes([Channel(f"trades:{number}") for number in range(120)], limits))
    assert [len(each["channels"]) for each in requests[:-1]] == [most] * (len(requests) - 1)
    assert len(named(requests)) == 120


def test_a_channel_that_fits_into_no_message_is_requested_all_the_same() -> None:
    """The gateway says what is wrong."""
    limits = Limits(messageBytes=10)
    assert named(list(subscribes([Channel("trades:SOL")], limits))) == ["trades:SOL"]


def test_channels_that_start_alike_share_a_request() -> None:
    """Each epoch has one, each number of recent events, and those that simply start."""
    channels = [
        Channel("trades:A"),
        Channel("price:A", recent=0, start=Position("e", 7)),
        Channel("trades:B", recent=3),
        Channel("trades:C", start=Position("e", 7)),
        Channel("trades:*", start=Position("e", 9)),
        Channel("trades:D", start=Position("f", 8)),
        Channel("trades:E", start=Position(None, 6)),
    ]
    assert list(subscribes(channels, Limits())) == [
        {"type": "subscribe", "channels": ["trades:A", "price:A"]},
        {"type": "subscribe", "channels": ["trades:B"], "recent": 3},
        {
            "type": "subscribe",
            "channels": ["trades:C", "trades:*"],
            "since": {"trades:C": 7, "trades:*": 9},
            "epoch": "e",
        },
        {"type": "subscribe", "channels": ["trades:D"], "since": {"trades:D": 8}, "epoch": "f"},
        {"type": "subscribe", "channels": ["trades:E"], "since": {"trades:E": 6}},
    ]
