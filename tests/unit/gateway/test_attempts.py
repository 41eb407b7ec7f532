"""Attempts: each address has its own rate limit."""

from percolator.gateway.attempts import Attempts


def test_each_address_has_its_own_attempts() -> None:
    """One that tries too often does not lock out the others."""
    attempts = Attempts(rate=1, burst=2)
    assert [attempts.allow("a", 0.0) for _ in range(3)] == [True, True, False]
    assert attempts.allow("b", 0.0)


def test_an_address_is_exhausted_when_the_next_attempt_would_exceed_its_limit() -> None:
    """Asking does not count; an unknown address has all of its attempts."""
    attempts = Attempts(rate=1, burst=2)
    assert not attempts.exhausted("a", 0.0)
    assert len(attempts) == 0
    for now in (0.0, 0.0):
        assert not attempts.exhausted("a", now)
        attempts.allow("a", now)
    assert attempts.exhausted("a", 0.5)
    assert not attempts.exhausted("a", 1.0)


def test_an_address_that_is_quiet_again_is_forgotten() -> None:
    """A busy one is kept: forgetting must not get around the limit."""
    attempts = Attempts(rate=1, burst=2)
    for address, now in (("a", 0.0), ("b", 0.0), ("b", 0.0)):
        attempts.allow(address, now)
    attempts.forget(1.0)
    assert len(attempts) == 1
    assert [attempts.allow("b", 1.0), attempts.allow("b", 1.0)] == [True, False]
    attempts.forget(10.0)
    assert len(attempts) == 0


def test_attempts_without_a_rate_are_not_counted() -> None:
    """A limit that is switched off costs no memory."""
    attempts = Attempts(rate=0, burst=1)
    assert all(attempts.allow(str(number), 0.0) for number in range(100))
    assert len(attempts) == 0


def test_the_attempts_of_an_ipv6_network_are_limited_together() -> None:
    """A /56 has 4 times those of a /64, and a /48 has 16 times; the next /48 has its own."""
    attempts = Attempts(rate=1, burst=2)
    keys = [f"2001:db8:1:{number:x}::/64" for number in range(0x10000)]
    assert sum(attempts.allow(key, 0.0) for key in keys[:0x100]) == 2 * 4
    assert sum(attempts.allow(key, 0.0) for key in keys) == 2 * (16 - 4)
    assert attempts.exhausted(keys[-1], 0.0)
    assert attempts.allow("2001:db8:2::/64", 0.0)
    attempts.forget(100.0)
    assert len(attempts) == 0


def test_a_refused_attempt_costs_the_wider_network_nothing() -> None:
    """One /64 that tries too often uses up only its own attempts."""
    attempts = Attempts(rate=1, burst=2)
    assert sum(attempts.allow("2001:db8::/64", 0.0) for _ in range(100)) == 2
    assert sum(attempts.allow("2001:db8:0:1::/64", 0.0) for _ in range(100)) == 2
