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


def test_after_too_many_wrong_tokens_an_address_is_refused_with_each_wrong_one() -> None:
    """A good token is accepted all the time; other addresses are not affected."""
    harness = AdmissionHarness()
    admission = harness.admission
    for _ in range(FAILURE_BURST):
        assert admission.token_allowed(HERE, "junk")
        assert not admission.failed(HERE)
    assert admission.failed(HERE)
    assert not admission.token_allowed(HERE, "junk")
    assert admission.token_allowed(HERE, harness.token())
    assert admission.token_allowed(HERE, None)
    assert admission.token_allowed(THERE, "junk")
    assert admission.verify(harness.token()) is not None
    assert harness.stats.authentications == {"refused": 1, "accepted": 2}


def test_wrong_tokens_over_http_and_over_websockets_are_counted_apart() -> None:
    """Any page can make a browser send plain requests."""
    harness = AdmissionHarness()
    for _ in range(FAILURE_BURST):
        assert not harness.admission.failed_http(HERE)
    assert harness.admission.failed_http(HERE)
    assert not harness.admission.failed(HERE)
    assert harness.admission.token_allowed(HERE, "junk")


def test_an_address_recovers_from_wrong_tokens_and_is_forgotten() -> None:
    """It may be wrong once per second, and uses no memory once it is quiet."""
    harness = AdmissionHarness()
    counts = (harness.admission.failed, harness.admission.failed_http)
    for failed in counts:
        assert [failed(HERE) for _ in range(FAILURE_BURST + 1)][-1]
    harness.now += 1
    for failed in counts:
        assert [failed(HERE), failed(HERE)] == [False, True]
    harness.now += FAILURE_BURST
    harness.admission.sweep()
    assert len(harness.admission.failures) == len(harness.admission.http_failures) == 0


def test_requests_and_attempts_are_counted_apart() -> None:
    """Loading a page must not keep its WebSocket out."""
    harness = AdmissionHarness(request_burst=3, attempt_burst=2)
    admission = harness.admission
    assert [admission.request(HERE) for _ in range(4)] == [True, True, True, False]
    assert [admission.attempt(HERE) for _ in range(3)] == [True, True, False]
    assert admission.request(THERE)
    harness.now += 3
    admission.sweep()
    assert len(admission.requests) == len(admission.attempts) == 0


def test_the_sockets_of_a_proxy_count_under_no_address() -> None:
    """It has many clients; those of any other peer count under its address and its networks."""
    admission = AdmissionHarness(trusted_proxies="10.0.0.1").admission
    assert admission.tiers_of_peer(HERE) == ()
    assert admission.tiers_of_peer(THERE) == ((THERE, 1),)
    assert admission.tiers_of_peer("2001:db8::1")[-1] == ("2001:db8::/48", 16)


def test_only_trusted_proxies_begin_with_a_proxy_header_and_only_with_the_setting() -> None:
    """From any other peer it would be a forgery."""
    on = AdmissionHarness(trusted_proxies="10.0.0.1", proxy_protocol=True).admission
    off = AdmissionHarness(trusted_proxies="10.0.0.1").admission
    peers = (HERE, f"::ffff:{HERE}", THERE)
    assert [on.sends_proxy_header(peer) for peer in peers] == [True, True, False]
    assert not any(off.sends_proxy_header(peer) for peer in peers)


@pytest.mark.parametrize(
    ("allowed", "named", "allowed_in"),
    [
        ("", [], True),
        ("", ["anything", "at all"], True),
        ("feed.example", ["feed.example"], True),
        ("feed.example", ["FEED.example.:8443"], True),
        ("feed.example", [], False),
        ("feed.example", [""], False),
        ("feed.example", ["feed.example", "feed.example"], False),
        ("feed.example", ["evil.example"], False),
        ("feed.example", ["feed.example.evil.example"], False),
        ("feed.example", ["feed.example@evil.example"], False),
        ("feed.example", ["evil.example, feed.example"], False),
        ("feed.example", ["feed.example:x"], False),
        ("feed.example:8443", ["feed.example:8443"], True),
        ("feed.example:8443", ["feed.example"], False),
        ("feed.example:8443", ["feed.example:443"], False),
        ("a.example, [::1]", ["[::1]:3001"], True),
        ("a.example, [::1]", ["[::2]"], False),
    ],
)
def test_requests_for_listed_hosts_are_allowed(
    allowed: str,
    named: list[str],
    allowed_in: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """With any port, if the list has none; exactly one Host header must name the host."""
    assert AdmissionHarness(allowed_hosts=allowed).admission.host_allowed(named) is allowed_in


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
        ("*", ["https://anywhere.example"], True),
        ("null, https://a.example", ["null"], True),
        ("null", ["https://a.example"], False),
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
        harness.admission.verify(f"junk {second}")
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
