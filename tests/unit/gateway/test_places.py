"""Places: each limit holds exactly, and no count goes below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.places import Places
from percolator.model import closes


def test_connections_are_limited_in_total_and_per_address() -> None:
    """The close says which limit was met; a released place is free at once."""
    places = Places(connections=3, per_address=2)
    assert [places.admit("a"), places.admit("a")] == [None, None]
    assert places.admit("a") == closes.CLOSE_CONNECTIONS_PER_IP
    assert places.admit("b") is None
    assert places.admit("c") == closes.CLOSE_CONNECTIONS
    places.release("a")
    assert places.admit("c") is None
    assert (places.total, places.by_address) == (3, {"a": 1, "b": 1, "c": 1})


def test_the_connections_of_an_ipv6_network_are_limited_together() -> None:
    """A /56 has 4 times those of a /64, and a /48 has 16 times; a released place is free again."""
    places = Places(connections=0, per_address=2)
    keys = [f"2001:db8:1:{number:x}::/64" for number in range(0x1000)]
    admitted = [key for key in keys[:0x100] if places.admit(key) is None]
    assert len(admitted) == 2 * 4
    admitted += [key for key in keys if places.admit(key) is None]
    assert len(admitted) == 2 * 16
    assert places.admit(keys[-1]) == closes.CLOSE_CONNECTIONS_PER_IP
    assert places.admit("2001:db8:2::/64") is None
    places.release("2001:db8:2::/64")
    places.release(admitted.pop())
    assert places.admit(keys[-1]) is None
    assert len(places.by_address) == 2 * 16
    for key in (*admitted, keys[-1]):
        places.release(key)
    assert (places.total, places.by_address, places.by_network) == (0, {}, {})


def test_a_limit_of_0_admits_every_connection() -> None:
    """Each limit can be switched off."""
    places = Places(connections=0, per_address=0)
    assert [places.admit("a") for _ in range(50)] == [None] * 50


def test_releasing_a_place_that_was_not_reserved_raises() -> None:
    """An internal error must be loud; a total below zero would switch the limit off."""
    places = Places(connections=1, per_address=1)
    with pytest.raises(KeyError):
        places.release("a")
    assert (places.total, places.by_address) == (0, {})


limit = st.integers(0, 3)


@given(limit, limit, st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=40))
def test_places_agree_with_a_plain_list_of_connections(
    connections: int, per_address: int, steps: list[tuple[bool, str]]
) -> None:
    """After the last release, nothing is left."""
    places = Places(connections=connections, per_address=per_address)
    inside: list[str] = []
    for comes, address in steps:
        if comes:
            room = not connections or len(inside) < connections
            own = not per_address or inside.count(address) < per_address
            assert (places.admit(address) is None) == (room and own)
            if room and own:
                inside.append(address)
        elif address in inside:
            places.release(address)
            inside.remove(address)
        assert places.total == len(inside)
        assert places.by_address == {each: inside.count(each) for each in inside}
    for address in inside:
        places.release(address)
    assert (places.total, places.by_address) == (0, {})
