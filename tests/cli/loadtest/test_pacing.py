"""The pace of a client's requests keeps to the rate that the gateway has told it."""

import pytest

from percolator.model.server_messages import Limits
from percolator_cli.loadtest.pacing import paced


@pytest.mark.parametrize(
    ("limits", "pauses"),
    [
        (Limits(messagesPerSecond=0.5, messageBurst=1), [0, 2, 2]),
        (Limits(messagesPerSecond=4, messageBurst=2), [0, 0, 0.25]),
        (Limits(messagesPerSecond=0, messageBurst=1), [0, 0, 0]),
    ],
)
def test_requests_over_the_burst_are_sent_at_the_rate(limits: Limits, pauses: list[float]) -> None:
    """A rate of 0 is no limit."""
    requests = [{"number": number} for number in range(3)]
    assert list(paced(requests, limits)) == list(zip(requests, pauses, strict=True))
