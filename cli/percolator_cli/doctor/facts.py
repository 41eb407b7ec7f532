"""What is known of a gateway and its NATS, as plain data. What could not be found out is None."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from percolator.jetstream.subjects import Growth


@dataclass(slots=True)
class GatewayFacts:
    """What the gateway says of itself; `trouble` says why it says nothing."""

    url: str
    trouble: str = ""
    health: Mapping[str, Any] | None = None
    stats: Mapping[str, Any] | None = None
    stats_trouble: str = ""
    socket_trouble: str | None = None
    """Why a WebSocket cannot be opened; empty where it can, None where it was not tried."""
    clock_ahead: float | None = None
    """Seconds by which its clock is ahead of ours, to a second or so."""


@dataclass(slots=True)
class StreamFacts:
    """What the stream holds; `differs` says in what it is not as defined."""

    name: str
    differs: list[str] = field(default_factory=list)
    messages: int = 0
    last_seq: int = 0
    newest_age: float | None = None
    """Seconds since its newest event was stored."""
    newest_ahead: float | None = None
    """Seconds by which that event's own time is ahead of when it was stored."""
    newest_fault: str = ""
    """Why that event is not valid."""
    growth: Growth | None = None
    """The kinds that it does not take yet, if any."""


@dataclass(slots=True)
class NatsFacts:
    """What NATS says; `trouble` says why it says nothing."""

    url: str
    trouble: str = ""
    version: str = ""
    jetstream_trouble: str = ""
    stream: StreamFacts | None = None
    """None where there is none, or JetStream cannot be asked."""


@dataclass(slots=True)
class Facts:
    """All of it. `descriptors` is how many this system gives a process; None is without end."""

    gateway: GatewayFacts
    nats: NatsFacts
    is_local: bool
    """Whether the gateway is on this machine."""
    descriptors: int | None
    descriptors_wanted: int
