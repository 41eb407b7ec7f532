"""Attempts: each address has a rate of its own."""

from percolator.gateway.attempts import Attempts


def test_each_address_has_its_own_attempts() -> None:
    """One that knocks too often does not shut the others out."""
    attempts = Attempts(rate=1, burst=2)
    assert [attempts.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert attempts.take("b", 0.0)


def test_an_address_is_exhausted_once_the_next_attempt_is_one_too_many() -> None:
    """Asking counts nothing; one that is not known has all of its attempts."""
    attempts = Attempts(rate=1, burst=2)
    assert not attempts.exhausted("a", 0.0)
    assert len(attempts) == 0
    for now in (0.0, 0.0):
        assert not attempts.exhausted("a", now)
        attempts.take("a", now)
    assert attempts.exhausted("a", 0.5)
    assert not attempts.exhausted("a", 1.0)


def test_an_address_that_is_quiet_again_is_forgotten() -> None:
    """And one that is not, is not: forgetting is no way round the limit."""
    attempts = Attempts(rate=1, burst=2)
    for address, now in (("a", 0.0), ("b", 0.0), ("b", 0.0)):
        attempts.take(address, now)
    attempts.forget(1.0)
    assert len(attempts) == 1
    assert [attempts.take("b", 1.0), attempts.take("b", 1.0)] == [True, False]
    attempts.forget(10.0)
    assert len(attempts) == 0


def test_attempts_without_a_rate_are_not_even_counted() -> None:
    """What is switched off costs no memory."""
    attempts = Attempts(rate=0, burst=1)
    assert all(attempts.take(str(number), 0.0) for number in range(100))
    assert len(attempts) == 0
