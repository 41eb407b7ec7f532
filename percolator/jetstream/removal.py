"""How messages may leave a stream, by its definition."""

from enum import Enum

from nats.js.api import StreamConfig


class Removal(Enum):
    """How messages may leave a stream, by its definition.

    The limits, purges and rollups remove the oldest of a subject first.
    """

    OLDEST_FIRST = "only the oldest messages of a subject"
    BY_HAND = "also single messages that an operator deletes"
    ANY = "also single messages that expire"


def expiry(found: StreamConfig) -> list[str]:
    """Return the settings of a stream with which single messages leave it by themselves."""
    fields = ("allow_msg_ttl", "allow_msg_schedules")
    return [field for field in fields if getattr(found, field)]


def removal(found: StreamConfig) -> Removal:
    """Return how messages may leave a stream with this definition."""
    if expiry(found):
        return Removal.ANY
    return Removal.OLDEST_FIRST if found.deny_delete else Removal.BY_HAND
