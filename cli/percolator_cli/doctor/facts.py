"""Facts about a gateway and its NATS, as plain data. Unknown facts are None."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from percolator.jetstream.subjects import Growth
from percolator.model.server_messages import Connected


@dataclass(slots=True)
class GatewayFacts:
    """Facts about the gateway; `trouble` is why it cannot be reached, or an empty string."""

    url: str
    trouble: str = ""
    health: Mapping[str, Any] | None = None
    stats: Mapping[str, Any] | None = None
    stats_trouble: str = ""
    socket_trouble: str | None = None
    """Why a WebSocket cannot be opened; empty if it can, None if it was not tried."""
    greeting: Connected | None = None
    unknown: list[str] = field(default_factory=list)
    """Channels that were asked for and have no event yet."""
    refused: list[str] = field(default_factory=list)
    """Why other channels that were asked for are refused."""
    clock_ahead: float | None = None
    """Seconds by which its clock is ahead of this machine's, accurate to about a second."""


@dataclass(slots=True)
class StreamFacts:
    """Facts about the stream; `differs` lists how its configuration is wrong."""

    name: str
    differs: list[str] = field(default_factory=list)
    messages: int = 0
    last_seq: int = 0
    newest_age: float | None = None
    """Seconds since its newest event was stored."""
    newest_ahead: float | None = None
    """Seconds by which that event's timestamp is later than the time it was stored."""
    newest_fault: str = ""
    """Why that event is not valid."""
    growth: tuple[Growth, ...] = ()
    """What it lacks that a newly created stream has."""


@dataclass(slots=True)
class NatsFacts:
    """Facts about NATS; `trouble` is why it cannot be reached, or an empty string."""

    url: str
    trouble: str = ""
    version: str = ""
    jetstream_trouble: str = ""
    stream: StreamFacts | None = None
    """None if the stream does not exist or JetStream does not answer."""
    answers: bool = False
    """True if it answers, though it cannot be used: the trouble then says what to do."""
    gateway_creates: bool = True
    """Whether a gateway creates a missing stream."""


@dataclass(slots=True)
class Facts:
    """All facts. `descriptors` is the limit of file descriptors per process, or None."""

    gateway: GatewayFacts
    nats: NatsFacts
    is_local: bool
    """Whether the gateway is on this machine."""
    descriptors: int | None
    descriptors_wanted: int
