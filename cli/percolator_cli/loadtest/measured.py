"""What a load test measures: plain data, from the run to the report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from percolator.printable import printable
from percolator_cli.loadtest.account import Account
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.plan import Plan

TEXT_CHARS = 200
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection was refused or ended: a code (close code or HTTP status) and a reason.

    Both may be the words of a foreign server: they are made fit to show here.
    """

    code: str
    reason: str

    def __post_init__(self) -> None:
        for name in ("code", "reason"):
            object.__setattr__(self, name, printable(getattr(self, name), TEXT_CHARS))


class Sample(NamedTuple):
    """The counters `at` seconds after the first event."""

    at: float
    published: int
    deliveries: int


@dataclass
class Measured:
    """The measurements of one load test. Times are in seconds."""

    plan: Plan
    opened: int = 0
    handshakes: Histogram = field(default_factory=Histogram)
    refusals: Counter[Refusal] = field(default_factory=Counter)
    ended: Counter[Refusal] = field(default_factory=Counter)
    """Connections that ended before the test did."""
    one_address: bool = False
    published: Counter[str] = field(default_factory=Counter)
    """Events acknowledged by JetStream, by kind."""
    unacknowledged: int = 0
    publishing: float = 0.0
    """Duration of publishing."""
    send_lag: Histogram = field(default_factory=Histogram)
    """How late the load test sent each batch of events."""
    cpu: float = 0.0
    """Share of a core that the load test used while publishing."""
    latency: Histogram = field(default_factory=Histogram)
    """Time from sending a trade or funding rate to its arrival, per delivery."""
    deliveries: int = 0
    bytes: int = 0
    heartbeats: int = 0
    stale: float = 0.0
    """How long clients were told that the feed is stale: the longest time over all of them."""
    account: Account = field(default_factory=Account)
    samples: list[Sample] = field(default_factory=list)
