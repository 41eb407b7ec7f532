"""Admission: which connections and tokens are accepted, and how refusals are logged."""

import logging

import pytest

from percolator.auth.tokens import Verifier, mint
from percolator.config.settings import Settings
from percolator.gateway.admission import FAILURE_BURST, LOG_SECONDS, Admission
from percolator.stats import Stats

SECRET = "a secret of thirty-two bytes or more"
HERE, THERE = "10.0.0.1", "10.0.0.2"


class AdmissionHarness:
    """An admission with a clock that is a number."""

    def __init__(self, **settings: object) -> None:
        self.now = 1_000.0
        self.stats = Stats(self.now)
        verifier = Verifier(SECRET, lambda: self.now)
        self.admission = Admission(Settings(**settings), self.stats, lambda: self.now, verifier)  # type: ignore[arg-type]

    def token(self) -> str:
        """Return a valid token."""
        return mint(SECRET, ["*"], now=self.now, seconds=1_000)


def test_too_many_bad_tokens_throttle_their_address() -> None:
    """After ten of them, even a good token is refused; other addresses are not affected."""
    harness = AdmissionHarness()
    for _ in range(FAILURE_BURST):
        assert harness.admission.attempt(HERE)
        assert harness.admission.verify(HERE, "junk") is None
    assert harness.admission.is_throttled(HERE)
    assert not harness.admission.attempt(HERE)
    assert harness.admission.verify(HERE, harness.token()) is None
    assert harness.admission.attempt(THERE)
    assert harness.admission.verify(THERE, harness.token()) is not None
    assert harness.stats.authentications == {"refused": FAILURE_BURST + 1, "accepted": 1}


def test_a_throttled_address_recovers_and_is_forgotten() -> None:
    """It may try one token per second, and uses no memory once it is quiet."""
    harness = AdmissionHarness(attempts_per_second=0)
    for _ in range(FAILURE_BURST):
        harness.admission.verify(HERE, "junk")
    assert harness.admission.is_throttled(HERE)
    harness.now += 1
    assert harness.admission.verify(HERE, harness.token()) is not None
    harness.now += FAILURE_BURST
    harness.admission.sweep()
    assert len(harness.admission.failures) == 0


def test_good_tokens_are_not_limited() -> None:
    """Any number may come from one address."""
    harness = AdmissionHarness()
    for _ in range(FAILURE_BURST * 10):
        assert harness.admission.verify(HERE, harness.token()) is not None


@pytest.mark.parametrize(
    ("allowed", "named", "allowed_in"),
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
    allowed_in: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Without a list every origin may; a program without an origin always may."""
    assert AdmissionHarness(allowed_origins=allowed).admission.origin_allowed(named) is allowed_in


def test_refusals_are_logged_together_and_rarely(caplog: pytest.LogCaptureFixture) -> None:
    """One line says how many of each kind there were since the last line."""
    caplog.set_level(logging.INFO)
    harness = AdmissionHarness()
    for second in range(int(LOG_SECONDS)):
        for _ in range(200):
            harness.admission.refused("attempts")
        harness.admission.refused("origin")
        harness.admission.verify(HERE, f"junk {second}")
        harness.admission.sweep()
        harness.now += 1
    harness.admission.sweep()
    assert [record.getMessage() for record in caplog.records] == [
        "refused: 200 (attempts), 1 (origin), 1 (bad tokens)",
        "refused: 1,800 (attempts), 9 (origin), 9 (bad tokens)",
    ]
    harness.now += LOG_SECONDS
    harness.admission.sweep()
    assert len(caplog.records) == 2
