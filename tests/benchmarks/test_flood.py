"""The verdict on an attack: what the figures are made of, and when they are good enough."""

import dataclasses

import pytest

from percolator.config.settings import Settings
from percolator.model import messages
from percolator.model.channel import Channel
from tests.benchmarks.flood.attack import Target
from tests.benchmarks.flood.attacker import ATTACKS
from tests.benchmarks.flood.honest import CHANNEL, Crowd, Reader
from tests.benchmarks.flood.run import Outcome, Phase
from tests.channels import decode
from tests.gateway import event_json

QUIET = Phase(
    p99_ms=4,
    control_p99_ms=2,
    lost=0,
    refused=0,
    visits=40,
    cpu_percent=10,
    waiting_percent=0,
    peak_mb=58,
)
SOL = Channel.parse(CHANNEL)
assert SOL is not None


def trade(seq: int, prev: int) -> bytes:
    """Return a trade as a gateway sends it."""
    assert SOL is not None
    return messages.event_message(decode(SOL.subject, event_json("trade")), seq, prev)


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"p99_ms": 6.0}, True),
        ({"p99_ms": 6.1}, False),
        ({"control_p99_ms": 9.0}, True),
        ({"p99_ms": 6.1, "control_p99_ms": 2 * QUIET.control_p99_ms}, True),
        ({"p99_ms": 6.1, "control_p99_ms": 0.5 * QUIET.control_p99_ms}, False),
        ({"lost": 1}, False),
        ({"refused": 1}, False),
    ],
)
def test_the_verdict_needs_latency_events_and_visits(
    *, change: dict[str, float], holds: bool
) -> None:
    attacked = dataclasses.replace(QUIET, **change)  # type: ignore[arg-type]
    outcome = Outcome(ATTACKS["pongs"], QUIET, attacked, {})
    assert outcome.holds(1.5) == holds


def test_an_event_lost_in_the_quiet_phase_counts_too() -> None:
    quiet = dataclasses.replace(QUIET, lost=1)
    assert not Outcome(ATTACKS["pongs"], quiet, QUIET, {}).holds(1.5)


async def test_a_crowd_counts_trades_that_did_not_arrive() -> None:
    assert SOL is not None
    whole, gapped = Reader(), Reader()
    whole.data_received(trade(1, 0) + trade(2, 1) + trade(3, 2))
    gapped.data_received(trade(1, 0) + messages.gap(SOL, 1, 3) + trade(3, 1))
    crowd = Crowd([whole, gapped])
    assert (await crowd.figures(3, patience=0)).lost == 1


async def test_what_arrived_before_a_phase_does_not_count_in_it() -> None:
    reader = Reader()
    crowd = Crowd([reader])
    reader.data_received(trade(1, 0))
    crowd.forget()
    assert (await crowd.figures(1, patience=0)).lost == 1


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_can_be_made_and_says_what_it_does(name: str) -> None:
    attack = ATTACKS[name]
    assert attack.text.endswith(".")
    attack.make(Target(1, "nats://127.0.0.1:1"))
    Settings(auth_secret="a secret of thirty-two bytes or more", **attack.settings)  # type: ignore[arg-type]
