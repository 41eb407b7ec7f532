"""The plan of a load test: each client's source address and channels, and each event to send."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from percolator.client.address import is_loopback
from percolator.model.channel import ALL, Channel
from percolator.model.kinds import FUNDING, PRICE, TRADE, Kind

SLAB_PREFIX = "loadtest-"
PER_ADDRESS = 4
"""Connections from one loopback address, unless the gateway's limit is lower."""
LOOPBACK_FIRST, LOOPBACK_LAST = int(IPv4Address("127.1.0.1")), int(IPv4Address("127.254.255.254"))

PATTERN: tuple[Kind, ...] = (
    *(PRICE, TRADE, TRADE, TRADE, TRADE, TRADE, TRADE),
    *(PRICE, TRADE, TRADE, TRADE, TRADE, TRADE, TRADE),
    *(PRICE, FUNDING, TRADE, TRADE, TRADE, TRADE),
)
"""The kinds of a market's events, repeated: mostly trades, as in a real market."""

PUBLISHED = (PRICE, TRADE, FUNDING)
"""The kinds that a load test publishes and follows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `own` is true if the test creates its own markets.

    With `all_markets`, each client follows the wildcards: every market of the gateway.
    """

    connections: int
    slabs: tuple[str, ...]
    own: bool
    duration: float
    rate: float
    ramp: float
    all_markets: bool = False

    @property
    def followed(self) -> tuple[str, ...]:
        """The markets that clients follow; `*` is all of them."""
        return (ALL,) if self.all_markets else self.slabs

    def slab_of(self, client: int) -> str:
        """Return the market that a client follows."""
        return self.followed[client % len(self.followed)]

    def channels(self, slab: str) -> list[str]:
        """Return the channels that a client of this market subscribes to."""
        return [Channel(kind, slab).name for kind in PUBLISHED]


class Thresholds(NamedTuple):
    """What a run must not exceed; None means no threshold."""

    p99_ms: float | None = None
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """Writes an event's number into the event and reads it back; other events have none.

    The number is in a trade's size or a funding's rate, after digits that identify this run.
    """

    salt: int = field(default_factory=lambda: secrets.randbelow(10**6))

    def event(self, number: int, kind: Kind) -> dict[str, Any]:
        """Return the fields of an event, without its timestamp."""
        price = 100 + (number * 7 % 1_000) / 1_000
        if kind is PRICE:
            return {"price": price, "markPrice": round(price + 0.01, 3)}
        if kind is FUNDING:
            return {"rate": f"0.0000{self.salt:06}{number:010}"}
        side = "long" if number % 2 else "short"
        return {"side": side, "size": f"{self.salt + 1}{number:012}", "price": price}

    def of_size(self, size: str) -> int | None:
        """Return a trade's number, or None if this run did not publish it."""
        return _number(size[-12:]) if size[:-12] == str(self.salt + 1) else None

    def of_rate(self, rate: str) -> int | None:
        """Return a funding's number, or None if this run did not publish it."""
        return _number(rate[-10:]) if rate[:-10] == f"0.0000{self.salt:06}" else None


def _number(digits: str) -> int | None:
    return int(digits) if digits.isdecimal() else None


def own_slabs(count: int) -> tuple[str, ...]:
    """Return names for new markets, unique to this run."""
    run = secrets.token_hex(3)
    numbers = (f"-{number}" for number in range(1, count + 1)) if count > 1 else ("",)
    return tuple(f"{SLAB_PREFIX}{run}{number}" for number in numbers)


def channel_of(plan: Plan, number: int) -> Channel:
    """Return the channel of an event; the markets alternate."""
    turn, slab = divmod(number, len(plan.slabs))
    return Channel(PATTERN[turn % len(PATTERN)], plan.slabs[slab])


def subject(plan: Plan, number: int) -> str:
    """Return the subject of an event."""
    return channel_of(plan, number).subject


def source_addresses(host: str, per_address: int = PER_ADDRESS) -> Iterator[str | None]:
    """Yield the source address of each connection: a loopback address, or None for any address.

    The first address is random, so that two load tests at the same time do not share addresses.
    """
    if not is_loopback(host) or ":" in host:
        while True:
            yield None
    address = random.randint(LOOPBACK_FIRST, LOOPBACK_LAST - 2**20)  # noqa: S311 - not a secret
    while True:
        address += 1
        if address & 0xFF not in (0, 0xFF):
            for _ in range(per_address):
                yield str(IPv4Address(address))
