"""The plan of a load test: who connects from where to follow what, and which event is sent when."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import Any, NamedTuple

from percolator.model.channel import Channel
from percolator.model.kinds import FUNDING, PRICE, TRADE, Kind

SLAB_PREFIX = "loadtest-"
PER_ADDRESS = 4
"""Connections from one loopback address, where the gateway's own limit is not lower."""
LOOPBACK_FIRST, LOOPBACK_LAST = int(IPv4Address("127.1.0.1")), int(IPv4Address("127.254.255.254"))

PATTERN: tuple[Kind, ...] = (
    *(PRICE, TRADE, TRADE, TRADE, TRADE, TRADE, TRADE),
    *(PRICE, TRADE, TRADE, TRADE, TRADE, TRADE, TRADE),
    *(PRICE, FUNDING, TRADE, TRADE, TRADE, TRADE),
)
"""The kinds of a market's events, over and over: four trades in five, as in life or nearly so."""

PUBLISHED = (PRICE, TRADE, FUNDING)
"""The kinds that a load test publishes and follows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. `own` says that the slabs are the test's, and nobody else's."""

    connections: int
    slabs: tuple[str, ...]
    own: bool
    duration: float
    rate: float
    ramp: float

    def slab_of(self, client: int) -> str:
        """Which market a client follows."""
        return self.slabs[client % len(self.slabs)]

    def channels(self, slab: str) -> list[str]:
        """What it subscribes to."""
        return [Channel(kind, slab).name for kind in PUBLISHED]


class Thresholds(NamedTuple):
    """What a run must not exceed; None is not asked for."""

    p99_ms: float | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """Writes the number of an event into it, and reads it out again; nobody else's has one.

    Trades carry it in their size, fundings in their rate, both behind figures of this run.
    """

    salt: int = field(default_factory=lambda: secrets.randbelow(10**6))

    def event(self, number: int, kind: Kind) -> dict[str, Any]:
        """Make the fields of an event, without its time."""
        price = 100 + (number * 7 % 1_000) / 1_000
        if kind is PRICE:
            return {"price": price, "markPrice": round(price + 0.01, 3)}
        if kind is FUNDING:
            return {"rate": f"0.0000{self.salt:06}{number:010}"}
        side = "long" if number % 2 else "short"
        return {"side": side, "size": f"{self.salt + 1}{number:012}", "price": price}

    def of_size(self, size: str) -> int | None:
        """Read a trade's number; None where it is not ours."""
        return int(size[-12:]) if size[:-12] == str(self.salt + 1) else None

    def of_rate(self, rate: str) -> int | None:
        """Read a funding's number; None where it is not ours."""
        return int(rate[-10:]) if rate[:-10] == f"0.0000{self.salt:06}" else None


def own_slabs(count: int) -> tuple[str, ...]:
    """Name markets that nobody else has."""
    run = secrets.token_hex(3)
    numbers = (f"-{number}" for number in range(1, count + 1)) if count > 1 else ("",)
    return tuple(f"{SLAB_PREFIX}{run}{number}" for number in numbers)


def channel_of(plan: Plan, number: int) -> Channel:
    """Return the channel of an event: markets take turns."""
    turn, slab = divmod(number, len(plan.slabs))
    return Channel(PATTERN[turn % len(PATTERN)], plan.slabs[slab])


def subject(plan: Plan, number: int) -> str:
    """Give where an event is published."""
    return channel_of(plan, number).subject


def source_addresses(host: str, per_address: int = PER_ADDRESS) -> Iterator[str | None]:
    """Give the address that each connection comes from: a block of loopback's own, else any.

    Where the block begins is left to chance, so that two load tests at once do not share it.
    """
    if not is_loopback(host) or ":" in host:
        while True:
            yield None
    address = random.randint(LOOPBACK_FIRST, LOOPBACK_LAST - 2**20)  # noqa: S311 - no secret
    while True:
        address += 1
        if address & 0xFF not in (0, 0xFF):
            for _ in range(per_address):
                yield str(IPv4Address(address))


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
