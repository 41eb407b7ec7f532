"""Limits per market and per client: each holds at its value, and 0 switches it off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.counts import Counts
from percolator.errors import RequestError
from percolator.fanout.slab_limits import SlabLimits
from percolator.model import closes
from tests.channels import channel_of


def enter(limits: SlabLimits, slabs: Counts, slab: str) -> str | None:
    """Count one more channel; return the error code if there is no room for it."""
    try:
        limits.enter(slabs, channel_of("price", slab))
    except RequestError as error:
        return error.code
    return None


def test_a_market_accepts_clients_up_to_its_limit() -> None:
    """One over the limit is refused, and admitted when another leaves."""
    limits = SlabLimits(per_slab=2, wildcards=0, channels_per_client=0)
    first, second, third = Counts(), Counts(), Counts()
    assert enter(limits, first, "SOL") is None
    assert enter(limits, second, "SOL") is None
    assert enter(limits, third, "SOL") == "slab_limit"
    limits.leave(first, "SOL")
    assert enter(limits, third, "SOL") is None
    assert limits.clients == {"SOL": 2}


def test_a_client_counts_once_on_a_market_whatever_it_follows_there() -> None:
    """So a client on a full market may add a channel of it."""
    limits = SlabLimits(per_slab=1, wildcards=0, channels_per_client=0)
    slabs = Counts()
    assert [enter(limits, slabs, "SOL") for _ in range(3)] == [None] * 3
    assert (limits.clients, slabs) == ({"SOL": 1}, {"SOL": 3})
    limits.leave(slabs, "SOL")
    limits.leave(slabs, "SOL")
    assert limits.clients == {"SOL": 1}
    limits.leave(slabs, "SOL")
    assert (limits.clients, slabs) == ({}, {})


def test_the_channels_of_one_market_count_as_one_for_the_limit_of_a_client() -> None:
    """So a client at its limit may follow more of its markets; a refused channel is not counted."""
    limits = SlabLimits(per_slab=0, wildcards=0, channels_per_client=2)
    slabs = Counts()
    codes = [enter(limits, slabs, slab) for slab in ("A", "A", "B", "C", "B")]
    assert codes == [None, None, None, "channel_limit", None]
    assert (limits.clients, slabs) == ({"A": 1, "B": 1}, {"A": 2, "B": 2})
    limits.leave(slabs, "A")
    assert enter(limits, slabs, "C") == "channel_limit"
    limits.leave(slabs, "A")
    assert enter(limits, slabs, "C") is None


@pytest.mark.parametrize(("per_slab", "channels"), [(1, 0), (0, 1)])
def test_a_refusal_names_the_channel(per_slab: int, channels: int) -> None:
    """And the limit that was reached."""
    limits = SlabLimits(per_slab=per_slab, wildcards=0, channels_per_client=channels)
    slabs = Counts(OTHER=1)
    limits.enter(Counts(), channel_of("price", "SOL"))
    with pytest.raises(RequestError) as refused:
        limits.enter(slabs, channel_of("trade", "SOL"))
    assert refused.value.channel == "trades:SOL"
    assert str(refused.value) == closes.ERRORS[refused.value.code]


def test_leaving_a_market_without_channels_on_it_raises_and_changes_nothing() -> None:
    """It would be a bug of ours; a count below zero would switch the limit off."""
    limits = SlabLimits(per_slab=1, wildcards=0, channels_per_client=1)
    slabs = Counts()
    with pytest.raises(KeyError):
        limits.leave(slabs, "SOL")
    assert (limits.clients, slabs) == ({}, {})


limit = st.integers(0, 3)
client_steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from("ABC")), max_size=40
)


@given(limit, limit, client_steps)
def test_the_counts_match_a_naive_count(
    per_slab: int, channels: int, steps: list[tuple[bool, int, str]]
) -> None:
    """Compared with a plain list of the followed channels."""
    limits = SlabLimits(per_slab=per_slab, wildcards=0, channels_per_client=channels)
    counted: list[Counts] = [{} for _ in range(4)]
    follows: list[list[str]] = [[] for _ in range(4)]
    for enters, client, slab in steps:
        mine = follows[client]
        if enters:
            others = sum(slab in other for other in follows)
            is_new = slab not in mine
            full = per_slab and is_new and others >= per_slab
            expected = (
                "channel_limit"
                if channels and is_new and len(set(mine)) >= channels
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
