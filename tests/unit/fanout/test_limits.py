"""Limits: each holds at its figure, 0 switches it off, and nothing is ever counted below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import RequestError
from percolator.fanout.limits import Admission, Attempts, Counts, SlabLimits, TokenBucket
from percolator.model import messages


def enter(limits: SlabLimits, slabs: Counts, slab: str) -> str | None:
    """Count one more channel; the error code where there is no room for it."""
    try:
        limits.enter(slabs, f"price:{slab}", slab)
    except RequestError as error:
        return error.code
    return None


# Slabs and channels.


def test_a_slab_has_as_many_clients_as_it_may_have() -> None:
    """One past the limit is refused, and comes in when another leaves."""
    limits = SlabLimits(per_slab=2, channels_per_client=0)
    first, second, third = Counts(), Counts(), Counts()
    assert enter(limits, first, "SOL") is None
    assert enter(limits, second, "SOL") is None
    assert enter(limits, third, "SOL") == "slab_limit"
    limits.leave(first, "SOL")
    assert enter(limits, third, "SOL") is None
    assert limits.clients == {"SOL": 2}


def test_a_client_counts_once_on_a_slab_whatever_it_follows_there() -> None:
    """So one that is on a full slab may add a channel of it."""
    limits = SlabLimits(per_slab=1, channels_per_client=0)
    slabs = Counts()
    assert [enter(limits, slabs, "SOL") for _ in range(3)] == [None] * 3
    assert (limits.clients, slabs) == ({"SOL": 1}, {"SOL": 3})
    limits.leave(slabs, "SOL")
    limits.leave(slabs, "SOL")
    assert limits.clients == {"SOL": 1}
    limits.leave(slabs, "SOL")
    assert (limits.clients, slabs) == ({}, {})


def test_a_client_has_as_many_channels_as_it_may_have() -> None:
    """Over all slabs together; what is refused is not counted."""
    limits = SlabLimits(per_slab=0, channels_per_client=3)
    slabs = Counts()
    codes = [enter(limits, slabs, slab) for slab in ("A", "A", "B", "B", "C")]
    assert codes == [None, None, None, "channel_limit", "channel_limit"]
    assert (limits.clients, slabs) == ({"A": 1, "B": 1}, {"A": 2, "B": 1})


@pytest.mark.parametrize(("per_slab", "channels"), [(1, 0), (0, 1)])
def test_a_refusal_names_the_channel(per_slab: int, channels: int) -> None:
    """And says what it is about."""
    limits = SlabLimits(per_slab=per_slab, channels_per_client=channels)
    slabs = Counts(OTHER=1)
    limits.enter(Counts(), "price:SOL", "SOL")
    with pytest.raises(RequestError) as refused:
        limits.enter(slabs, "trades:SOL", "SOL")
    assert refused.value.channel == "trades:SOL"
    assert str(refused.value) == messages.ERRORS[refused.value.code]


def test_leaving_a_slab_that_one_is_not_on_changes_nothing() -> None:
    """It is an error of ours, and loud; a count below zero would switch the limit off."""
    limits = SlabLimits(per_slab=1, channels_per_client=1)
    slabs = Counts()
    with pytest.raises(KeyError):
        limits.leave(slabs, "SOL")
    assert (limits.clients, slabs) == ({}, {})


limit = st.integers(0, 3)
client_steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from("ABC")), max_size=40
)


@given(limit, limit, client_steps)
def test_slabs_are_counted_as_one_would_by_hand(
    per_slab: int, channels: int, steps: list[tuple[bool, int, str]]
) -> None:
    """Against a plain list of who follows what."""
    limits = SlabLimits(per_slab=per_slab, channels_per_client=channels)
    counted: list[Counts] = [{} for _ in range(4)]
    follows: list[list[str]] = [[] for _ in range(4)]
    for enters, client, slab in steps:
        mine = follows[client]
        if enters:
            others = sum(slab in other for other in follows)
            full = per_slab and slab not in mine and others >= per_slab
            expected = (
                "channel_limit"
                if channels and len(mine) >= channels
                else ("slab_limit" if full else None)
            )
            assert enter(limits, counted[client], slab) == expected
            if expected is None:
                mine.append(slab)
        elif slab in mine:
            limits.leave(counted[client], slab)
            mine.remove(slab)
        assert counted == [{one: mine.count(one) for one in mine} for mine in follows]
        on = [one for mine in follows for one in set(mine)]
        assert limits.clients == {one: on.count(one) for one in on}


# Connections.


def test_connections_are_limited_in_all_and_from_each_address() -> None:
    """The close says which of the two it was; a place that is given back is free at once."""
    doors = Admission(connections=3, per_address=2)
    assert [doors.admit("a"), doors.admit("a")] == [None, None]
    assert doors.admit("a") == messages.CLOSE_CONNECTIONS_PER_IP
    assert doors.admit("b") is None
    assert doors.admit("c") == messages.CLOSE_CONNECTIONS
    doors.release("a")
    assert doors.admit("c") is None
    assert (doors.total, doors.by_address) == (3, {"a": 1, "b": 1, "c": 1})


def test_a_limit_of_0_admits_everybody() -> None:
    """Each can be switched off on its own."""
    doors = Admission(connections=0, per_address=0)
    assert [doors.admit("a") for _ in range(50)] == [None] * 50


def test_releasing_what_was_not_admitted_changes_nothing() -> None:
    """It is an error of ours, and loud; a total below zero would switch the limit off."""
    doors = Admission(connections=1, per_address=1)
    with pytest.raises(KeyError):
        doors.release("a")
    assert (doors.total, doors.by_address) == (0, {})


@given(limit, limit, st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=40))
def test_connections_are_counted_as_one_would_by_hand(
    connections: int, per_address: int, steps: list[tuple[bool, str]]
) -> None:
    """Against a plain list of who is in; at the end of all, nothing is left."""
    doors = Admission(connections=connections, per_address=per_address)
    inside: list[str] = []
    for comes, address in steps:
        if comes:
            room = not connections or len(inside) < connections
            own = not per_address or inside.count(address) < per_address
            assert (doors.admit(address) is None) == (room and own)
            if room and own:
                inside.append(address)
        elif address in inside:
            doors.release(address)
            inside.remove(address)
        assert doors.total == len(inside)
        assert doors.by_address == {one: inside.count(one) for one in inside}
    for address in inside:
        doors.release(address)
    assert (doors.total, doors.by_address) == (0, {})


# Rates.


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    """Two at once, then one each half second."""
    bucket = TokenBucket(rate=2, burst=2, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100.25), bucket.take(100.5), bucket.take(100.5)] == [False, True, False]


def test_a_bucket_is_never_fuller_than_full() -> None:
    """A long silence is worth one burst."""
    bucket = TokenBucket(rate=10, burst=2, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [True, True, False]


def test_a_burst_of_0_still_lets_one_through() -> None:
    """Else the rate could never be reached."""
    bucket = TokenBucket(rate=1, burst=0, now=0.0)
    assert [bucket.take(0.0), bucket.take(0.5), bucket.take(1.0)] == [True, False, True]


def test_a_rate_of_0_never_refuses() -> None:
    """The limit is switched off."""
    bucket = TokenBucket(rate=0, burst=1, now=0.0)
    assert all(bucket.take(0.0) for _ in range(100))
    assert bucket.full(0.0)


def test_a_bucket_is_full_again_when_it_has_had_the_time() -> None:
    """Then it is as good as a new one."""
    bucket = TokenBucket(rate=2, burst=2, now=0.0)
    assert bucket.full(0.0)
    bucket.take(0.0)
    assert not bucket.full(0.25)
    assert bucket.full(0.5)


rates = st.integers(1, 8)
bursts = st.integers(0, 5)
# Eighths of a second: floats that are added without rounding, so that the laws hold exactly.
waits = st.lists(st.integers(0, 40).map(lambda eighths: eighths / 8), max_size=60)


@given(rates, bursts, waits)
def test_no_span_of_time_sees_more_than_burst_and_rate(
    rate: int, burst: int, waits: list[float]
) -> None:
    """Between any two takes of all."""
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
def test_who_keeps_to_the_rate_is_never_refused(rate: int, burst: int, waits: list[float]) -> None:
    """Whatever it did before, after one token's time there is one."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    for wait in waits:
        now += wait
        bucket.take(now)
        now += 1  # a second is a whole number of tokens
        assert bucket.take(now)


@given(rates, bursts, waits)
def test_a_full_bucket_is_as_good_as_a_new_one(rate: int, burst: int, waits: list[float]) -> None:
    """So it may be forgotten: no later answer differs."""
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
def test_an_empty_bucket_is_one_that_refuses(rate: int, burst: int, waits: list[float]) -> None:
    """Asking takes nothing."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    for wait in waits:
        now += wait
        empty = bucket.empty(now)
        assert bucket.empty(now) == empty
        assert bucket.take(now) is not empty


def test_without_a_rate_no_bucket_is_empty() -> None:
    """The limit is switched off."""
    assert not TokenBucket(rate=0, burst=1, now=0.0).empty(0.0)


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
