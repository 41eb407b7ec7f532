"""Channels and events by their names, as tests write them."""

from percolator.jetstream.direct import Stored
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.kinds import KIND_OF_NAME, Event

KIND_NAMES = tuple(KIND_OF_NAME)
STORED_MS = 1_750_000_000_000
"""When the events of tests were stored, in Unix milliseconds."""


def channel(name: str) -> Channel:
    """Read the name of a channel, which must be one: `trades:SOL`."""
    found = Channel.parse(name)
    assert found is not None, name
    return found


def channel_of(kind: str, slab: str) -> Channel:
    """Make the channel of a kind, by its name, and a market."""
    return Channel(KIND_OF_NAME[kind], slab)


def subject_of(kind: str, slab: str) -> str:
    """Name the subject of a kind and a market."""
    return channel_of(kind, slab).subject


def decode(subject: str, payload: bytes, stored_ms: int = STORED_MS) -> Event:
    """Decode an event on a subject of a known kind, as the intake does. Raises EventError."""
    found = Channel.of_subject(subject)
    assert found is not None, subject
    return events.decode(found, payload, stored_ms)


def stored(seq: int, subject: str, payload: bytes) -> Stored:
    """Make an event of a stream."""
    return Stored(seq, subject, payload, STORED_MS * 1_000_000)
