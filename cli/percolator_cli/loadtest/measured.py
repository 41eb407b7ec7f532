"""What a load test measures: plain data between those who measure and those who report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from percolator_cli.loadtest.account import Account
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.plan import Plan


class Refusal(NamedTuple):
    """Why a connection did not come to be, or ended: a close code or the like, and words."""

    code: str
    reason: str


class Sample(NamedTuple):
    """Where the counters stood, `at` seconds after the first event."""

    at: float
    published: int
    deliveries: int


@dataclass
class Measured:
    """What a load test has measured. Times are in seconds."""

    plan: Plan
    opened: int = 0
    handshakes: Histogram = field(default_factory=Histogram)
    refusals: Counter[Refusal] = field(default_factory=Counter)
    ended: Counter[Refusal] = field(default_factory=Counter)
    """Connections that did not stay to the end."""
    one_address: bool = False
    published: Counter[str] = field(default_factory=Counter)
    """Events that JetStream has acknowledged, by kind."""
    unacknowledged: int = 0
    publishing: float = 0.0
    """How long publishing took."""
    send_lag: Histogram = field(default_factory=Histogram)
    """How late the load test itself was in sending, for each of its ticks."""
    cpu: float = 0.0
    """The share of a core that it took while it published."""
    latency: Histogram = field(default_factory=Histogram)
    """From sending a trade or a funding rate to its arrival, for each delivery of one."""
    deliveries: int = 0
    bytes: int = 0
    account: Account = field(default_factory=Account)
    samples: list[Sample] = field(default_factory=list)
