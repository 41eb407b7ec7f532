"""The subscribes of a client keep to the limits that the gateway has told it."""

import json

import pytest

from percolator.model.server_messages import Limits
from percolator_cli.loadtest.requests import subscribes

NAMES = [f"trades:{number:03}" for number in range(30)]


@pytest.mark.parametrize(
    ("limits", "per_message", "counts"),
    [
        (Limits(), 0, [30]),
        (Limits(), 10, [10, 10, 10]),
        (Limits(channels=0, messageBytes=0), 0, [30]),
        (Limits(channels=20), 0, [20, 10]),
        (Limits(messageBytes=200), 0, [9, 9, 9, 3]),
        (Limits(messageBytes=1), 0, [1] * 30),
    ],
)
def test_a_subscribe_names_only_as_many_channels_as_the_gateway_takes(
    limits: Limits, per_message: int, counts: list[int]
) -> None:
    """By their number and by the bytes of the message; each channel is asked for once."""
    found = subscribes(NAMES, limits, per_message=per_message, since=5, epoch="e")
    assert [len(each.fields["channels"]) for each in found] == counts
    assert [name for each in found for name in each.fields["channels"]] == NAMES
    assert all((each.fields["since"], each.fields["epoch"]) == (5, "e") for each in found)
    if limits.messageBytes > 1:
        assert all(len(json.dumps(each.fields)) <= limits.messageBytes for each in found)


@pytest.mark.parametrize(
    ("limits", "pauses"),
    [
        (Limits(messagesPerSecond=0.5, messageBurst=1), [0, 2, 2]),
        (Limits(messagesPerSecond=4, messageBurst=2), [0, 0, 0.25]),
        (Limits(messagesPerSecond=0, messageBurst=1), [0, 0, 0]),
    ],
)
def test_subscribes_over_the_burst_are_sent_at_the_rate(
    limits: Limits, pauses: list[float]
) -> None:
    """Each waits for the reply to the last one, and then for the rate."""
    assert [each.after for each in subscribes(NAMES, limits, per_message=10)] == pauses
