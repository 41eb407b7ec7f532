"""The admission: what it lets in, whose tokens it looks at, and what it says about the rest."""

import logging

import pytest

from percolator.auth.tokens import Verifier, mint
from percolator.config.settings import Settings
from percolator.gateway.admission import FAILURE_BURST, LOG_SECONDS, Admission
from percolator.stats import Stats

SECRET = "a secret of thirty-two bytes or more"
HERE, THERE = "10.0.0.1", "10.0.0.2"


class Door:
    """A admission with a clock that is a number."""

    def __init__(self, **settings: object) -> None:
        self.now = 1_000.0
        self.stats = Stats(self.now)
        verifier = Verifier(SECRET, lambda: self.now)
        self.admission = Admission(Settings(**settings), self.stats, lambda: self.now, verifier)  # type: ignore[arg-type]

    def good(self) -> str:
        """A token that is valid for a while."""
        return mint(SECRET, ["*"], now=self.now, seconds=1_000)


def test_wrong_tokens_cost_their_address_its_hearing() -> None:
    """Ten of them; then it waits, with whatever token; nobody else does."""
    door = Door()
    for _ in range(FAILURE_BURST):
        assert door.admission.attempt(HERE)
        assert door.admission.verify(HERE, "junk") is None
    assert door.admission.is_throttled(HERE)
    assert not door.admission.attempt(HERE)
    assert door.admission.verify(HERE, door.good()) is None
    assert door.admission.attempt(THERE)
    assert door.admission.verify(THERE, door.good()) is not None
    assert door.stats.authentications == {"refused": FAILURE_BURST + 1, "accepted": 1}


def test_an_address_is_heard_again_after_a_while_and_then_forgotten() -> None:
    """One token a second comes back, and nothing is kept of who is quiet."""
    door = Door(attempts_per_second=0)
    for _ in range(FAILURE_BURST):
        door.admission.verify(HERE, "junk")
    assert door.admission.is_throttled(HERE)
    door.now += 1
    assert door.admission.verify(HERE, door.good()) is not None
    door.now += FAILURE_BURST
    door.admission.sweep()
    assert len(door.admission.failures) == 0


def test_a_good_token_costs_nothing() -> None:
    """However many come from one address."""
    door = Door()
    for _ in range(FAILURE_BURST * 10):
        assert door.admission.verify(HERE, door.good()) is not None


@pytest.mark.parametrize(
    ("allowed", "named", "welcome"),
    [
        ("", ["https://anywhere.example"], True),
        ("https://a.example", ["https://a.example"], True),
        ("https://a.example", ["HTTPS://A.Example"], True),
        ("https://a.example", [], True),
        ("https://a.example", ["https://b.example"], False),
        ("https://a.example", ["https://a.example.b.example"], False),
        ("https://a.example", ["https://a.example", "https://b.example"], False),
        ("https://a.example", ["null"], False),
        ("https://a.example", [""], False),
    ],
)
def test_pages_of_listed_origins_may_connect(
    allowed: str,
    named: list[str],
    welcome: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """With no list everybody may; a program that names no origin always may."""
    assert Door(allowed_origins=allowed).admission.origin_allowed(named) is welcome


def test_refusals_are_logged_together_and_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """One line says how many of each kind there were since the last."""
    caplog.set_level(logging.INFO)
    door = Door()
    for second in range(int(LOG_SECONDS)):
        for _ in range(200):
            door.admission.refused("attempts")
        door.admission.refused("origin")
        door.admission.verify(HERE, f"junk {second}")
        door.admission.sweep()
        door.now += 1
    door.admission.sweep()
    assert [record.getMessage() for record in caplog.records] == [
        "refused: 200 (attempts), 1 (origin), 1 (wrong tokens)",
        "refused: 1,800 (attempts), 9 (origin), 9 (wrong tokens)",
    ]
    door.now += LOG_SECONDS
    door.admission.sweep()
    assert len(caplog.records) == 2
