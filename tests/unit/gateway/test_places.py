"""Places: each limit holds at its figure, and nothing is ever counted below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.places import Places
from percolator.model import closes


def test_connections_are_limited_in_all_and_from_each_address() -> None:
    """The close says which of the two it was; a place that is given back is free at once."""
    doors = Places(connections=3, per_address=2)
    assert [doors.admit("a"), doors.admit("a")] == [None, None]
    assert doors.admit("a") == closes.CLOSE_CONNECTIONS_PER_IP
    assert doors.admit("b") is None
    assert doors.admit("c") == closes.CLOSE_CONNECTIONS
    doors.release("a")
    assert doors.admit("c") is None
    assert (doors.total, doors.by_address) == (3, {"a": 1, "b": 1, "c": 1})


def test_a_limit_of_0_admits_everybody() -> None:
    """Each can be switched off on its own."""
    doors = Places(connections=0, per_address=0)
    assert [doors.admit("a") for _ in range(50)] == [None] * 50


def test_releasing_what_was_not_admitted_changes_nothing() -> None:
    """It is an error of ours, and loud; a total below zero would switch the limit off."""
    doors = Places(connections=1, per_address=1)
    with pytest.raises(KeyError):
        doors.release("a")
    assert (doors.total, doors.by_address) == (0, {})


limit = st.integers(0, 3)


@given(limit, limit, st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=40))
def test_connections_are_counted_as_one_would_by_hand(
    connections: int, per_address: int, steps: list[tuple[bool, str]]
) -> None:
    """Against a plain list of who is in; at the end of all, nothing is left."""
    doors = Places(connections=connections, per_address=per_address)
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
