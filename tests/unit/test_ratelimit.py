"""Rate limits: a burst at once, then the rate."""

from hypothesis import given
from hypothesis import strategies as st

from percolator.ratelimit import TokenBucket


def test_a_bucket_allows_its_burst_at_once_and_then_its_rate() -> None:
    """Two at once, then one per half second."""
    bucket = TokenBucket(rate=2, burst=2, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100.25), bucket.take(100.5), bucket.take(100.5)] == [False, True, False]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """A long silence allows one burst."""
    bucket = TokenBucket(rate=10, burst=2, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [True, True, False]


def test_a_burst_of_0_allows_one_at_once() -> None:
    """Otherwise the rate could never be reached."""
    bucket = TokenBucket(rate=1, burst=0, now=0.0)
    assert [bucket.take(0.0), bucket.take(0.5), bucket.take(1.0)] == [True, False, True]


def test_a_rate_of_0_allows_everything() -> None:
    """The limit is switched off."""
    bucket = TokenBucket(rate=0, burst=1, now=0.0)
    assert all(bucket.take(0.0) for _ in range(100))
    assert bucket.full(0.0)


def test_a_bucket_becomes_full_again() -> None:
    """After the time that its tokens take."""
    bucket = TokenBucket(rate=2, burst=2, now=0.0)
    assert bucket.full(0.0)
    bucket.take(0.0)
    assert not bucket.full(0.25)
    assert bucket.full(0.5)


rates = st.integers(1, 8)
bursts = st.integers(0, 5)
# Eighths of a second: floats that add up without rounding, so that the properties hold exactly.
waits = st.lists(st.integers(0, 40).map(lambda eighths: eighths / 8), max_size=60)


@given(rates, bursts, waits)
def test_no_interval_allows_more_than_burst_and_rate(
    rate: int, burst: int, waits: list[float]
) -> None:
    """Between any two tokens taken."""
    bucket = TokenBucket(rate, burst, 0.0)
    now, taken = 0.0, []
    for wait in waits:
        now += wait
        if bucket.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last, end in enumerate(taken[first:], start=first):
            assert last - first + 1 <= max(burst, 1) + rate * (end - start)


@given(rates, bursts, waits)
def test_a_caller_that_keeps_to_the_rate_is_never_refused(
    rate: int, burst: int, waits: list[float]
) -> None:
    """One second after any history, there is a token."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    for wait in waits:
        now += wait
        bucket.take(now)
        now += 1  # a second is a whole number of tokens
        assert bucket.take(now)


@given(rates, bursts, waits)
def test_a_full_bucket_behaves_like_a_new_one(rate: int, burst: int, waits: list[float]) -> None:
    """It can be forgotten: no later answer differs."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    for at, wait in enumerate(waits):
        now += wait
        if bucket.full(now):
            new = TokenBucket(rate, burst, now)
            for later in waits[at:]:
                now += later
                assert bucket.take(now) == new.take(now)
            return
        bucket.take(now)


@given(rates, bursts, waits)
def test_an_empty_bucket_refuses(rate: int, burst: int, waits: list[float]) -> None:
    """Asking takes no token."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    for wait in waits:
        now += wait
        empty = bucket.empty(now)
        assert bucket.empty(now) == empty
        assert bucket.take(now) is not empty


def test_a_bucket_without_a_rate_is_never_empty() -> None:
    """The limit is switched off."""
    assert not TokenBucket(rate=0, burst=1, now=0.0).empty(0.0)


def test_a_charge_runs_into_debt_and_says_when_it_is_paid() -> None:
    """What is charged is always spent; each token of debt takes its time."""
    bucket = TokenBucket(rate=2, burst=5, now=0.0)
    bucket.charge(0.0, 5)
    assert (bucket.in_debt_since, bucket.paid_at) == (None, 0.0)
    bucket.charge(0.0, 3)
    assert (bucket.in_debt_since, bucket.paid_at) == (0.0, 1.5)
    bucket.charge(1.0, 1)
    assert (bucket.in_debt_since, bucket.paid_at) == (0.0, 2.0)


def test_a_debt_ends_once_it_has_been_paid_for_a_while() -> None:
    """A caller that goes on as soon as it may has not paused."""
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    bucket.charge(0.0, 1)
    bucket.charge(0.0, 1)
    bucket.charge(1.25, 1)
    assert (bucket.in_debt_since, bucket.paid_at) == (0.0, 2.0)
    bucket.charge(2.5, 1)
    assert bucket.in_debt_since == 2.5
    bucket.charge(3.25, 1)
    assert bucket.in_debt_since == 2.5
    bucket.charge(6.0, 1)
    assert bucket.in_debt_since is None


def test_a_charge_of_more_than_the_burst_costs_the_burst() -> None:
    """Otherwise one message could make its sender wait without end."""
    bucket = TokenBucket(rate=1, burst=5, now=0.0)
    bucket.charge(0.0, 50)
    assert bucket.in_debt_since is None
    bucket.charge(0.0, 50)
    assert bucket.paid_at == 5.0


@given(rates, bursts, waits)
def test_a_caller_that_waits_for_its_debt_keeps_to_burst_and_rate(
    rate: int, burst: int, waits: list[float]
) -> None:
    """However it asks, between any two charges; a caller that keeps to the rate never waits."""
    bucket = TokenBucket(rate, burst, 0.0)
    now, charged = 0.0, []
    for wait in waits:
        now = max(now + wait, bucket.paid_at)
        bucket.charge(now, 1)
        charged.append(now)
    for first, start in enumerate(charged):
        for last, end in enumerate(charged[first:], start=first):
            # One more than there are tokens: the charge that runs into debt is made at once.
            assert last - first <= max(burst, 1) + rate * (end - start) + 1e-9


@given(rates, bursts, st.integers(1, 60))
def test_a_caller_that_keeps_to_the_rate_is_never_in_debt(
    rate: int, burst: int, count: int
) -> None:
    """At one charge per second, which is a whole number of tokens."""
    bucket = TokenBucket(rate, burst, 0.0)
    for second in range(count):
        bucket.charge(float(second), 1)
        assert bucket.in_debt_since is None


def test_a_rate_of_0_allows_every_charge() -> None:
    """The limit is switched off."""
    bucket = TokenBucket(rate=0, burst=1, now=0.0)
    for _ in range(10):
        bucket.charge(0.0, 100)
    assert (bucket.in_debt_since, bucket.paid_at) == (None, 0.0)
