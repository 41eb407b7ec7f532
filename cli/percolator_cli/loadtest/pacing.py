"""The pace of a client's requests, by the limits that the gateway has told it."""

from collections.abc import Iterable, Iterator

from percolator.client.requests import Request
from percolator.model.server_messages import Limits


def paced(requests: Iterable[Request], limits: Limits) -> Iterator[tuple[Request, float]]:
    """Yield each request, and the seconds that it waits after the reply to the last one.

    Those that exceed the burst are sent at the rate.
    """
    pause = 1 / limits.messagesPerSecond if limits.messagesPerSecond else 0.0
    for number, request in enumerate(requests):
        yield request, 0.0 if number < limits.messageBurst else pause
