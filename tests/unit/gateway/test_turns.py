"""Turns: how many items run at a time, and in which order the others follow."""

from hypothesis import given
from hypothesis import strategies as st

from percolator.gateway.turns import Turns


def started(turns: Turns[str]) -> list[str]:
    """Start all items that may run now."""
    found = []
    while (item := turns.start()) is not None:
        found.append(item)
    return found


def test_the_keys_take_turns() -> None:
    """A key with many items delays its own, and not those of the others."""
    turns: Turns[str] = Turns(limit=10, per_key=10)
    for item in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        turns.add(item[0], item)
    assert started(turns) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_no_more_items_run_than_the_limits_allow() -> None:
    """In total and per key; when one has finished, the next one starts."""
    turns: Turns[str] = Turns(limit=3, per_key=2)
    for item in ("a1", "a2", "a3", "b1", "b2"):
        turns.add(item[0], item)
    assert started(turns) == ["a1", "b1", "a2"]
    assert [turns.is_wanted(item) for item in ("a1", "b1")] == [True, True]
    turns.finish("b1")
    assert started(turns) == ["b2"]
    turns.finish("b2")
    assert started(turns) == []
    turns.add("b", "b3")
    assert started(turns) == ["b3"]
    turns.finish("b3")
    turns.add("c", "c1")
    assert started(turns) == ["c1"]
    assert [turns.is_wanted(item) for item in ("a1", "c1")] == [True, True]
    turns.finish("c1")
    assert turns.is_wanted("a2")
    turns.finish("a1")
    assert started(turns) == ["a3"]


def test_a_discarded_item_is_not_started() -> None:
    """Nothing is left of it; discarding an item that does not wait changes nothing."""
    turns: Turns[str] = Turns(limit=1, per_key=1)
    for item in ("a1", "a2", "b1"):
        turns.add(item[0], item)
    turns.discard("a", "a1")
    turns.discard("a", "a1")
    turns.discard("b", "b1")
    turns.discard("c", "c1")
    assert started(turns) == ["a2"]
    assert not turns.is_wanted("a2")
    turns.finish("a2")
    assert started(turns) == []


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.sampled_from("abc"), max_size=30))
def test_every_item_gets_its_turn_within_the_limits(
    limit: int, per_key: int, keys: list[str]
) -> None:
    """Those of one key in the order in which they were added."""
    turns: Turns[str] = Turns(limit, per_key)
    items = [f"{key}{number:02}" for number, key in enumerate(keys)]
    for item in items:
        turns.add(item[0], item)
    order: list[str] = []
    running: list[str] = []
    for _ in items:
        batch = started(turns)
        running += batch
        order += batch
        assert len(running) <= limit
        assert all(sum(item[0] == key for item in running) <= per_key for key in "abc")
        turns.finish(running.pop(0))
    assert sorted(order) == sorted(items)
    for key in "abc":
        own = [item for item in order if item[0] == key]
        assert own == sorted(own)
