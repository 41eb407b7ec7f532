"""What an attack is: how it is made, and the gateway and the stream that it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from nats.js.api import StreamConfig

from percolator.jetstream.stream import definition
from tests.benchmarks.stage import Server
from tests.client import upgrade

STREAM = "PERCOLATOR"
BACK = 50
"""Events that a returning client has missed: few enough for the gateway to have them in memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked."""

    port: int
    nats_url: str = ""


class Attacker(Protocol):
    """What attacks, in a process of its own."""

    def run(self) -> dict[str, int]:
        """Attack until standard input ends; return some counts."""


Make = Callable[[Target], Attacker]
Made = TypeVar("Made", bound=Make)
Fill = Mapping[str, int]
"""Number of events to publish before the run, by subject."""


@dataclass(frozen=True)
class Attack:
    """An attack. Its limits are the default ones, except for `settings`."""

    name: str
    text: str
    make: Make
    settings: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    fill: Fill = field(default_factory=dict)
    stream: StreamConfig = field(default_factory=lambda: definition(STREAM))
    back: int = BACK
    """Events that a returning client has missed."""
    after: Callable[[Server], dict[str, int]] = lambda _: {}
    """Counts what is left in the gateway after the attack."""


class Attacks(dict[str, Attack]):
    """Attacks by name."""

    def add(self, **needs: Any) -> Callable[[Made], Made]:  # noqa: ANN401 - as Attack
        """Add the function that makes an attack; `needs` are further fields of Attack.

        Its name and the first line of its docstring are those of the attack.
        """

        def add(make: Made) -> Made:
            name = make.__name__.replace("_", "-")
            text = (make.__doc__ or "").partition("\n")[0]
            self[name] = Attack(name, text, make, **needs)
            return make

        return add


def addresses(network: str, count: int) -> list[str]:
    """Return loopback addresses that begin with `network`, such as 127.0.3."""
    return [f"{network}.{number + 1}" for number in range(count)]


UPGRADE = upgrade()
