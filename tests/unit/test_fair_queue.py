"""The fair queue: how many items run at a time, and in which order the others follow."""

from hypothesis import given
from hypothesis import strategies as st

from percolator.fair_queue import FairQueue


def started(queue: FairQueue[str]) -> list[str]:
    """Start all items that may run now."""
    found = []
    while (item := queue.start()) is not None:
        found.append(item)
    return found


def test_the_keys_take_turns() -> None:
    """A key with many items delays its own, and not those of the others."""
    queue: FairQueue[str] = FairQueue(limit=10, per_key=10)
    for item in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        queue.add(item[0], item)
    assert started(queue) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_no_more_items_run_than_the_limits_allow() -> None:
    """In total and per key; when one has finished, the next one starts."""
    queue: FairQueue[str] = FairQueue(limit=3, per_key=2)
    for item in ("a1", "a2", "a3", "b1", "b2"):
        queue.add(item[0], item)
    assert started(queue) == ["a1", "b1", "a2"]
    assert [queue.is_wanted(item) for item in ("a1", "b1")] == [True, True]
    queue.remove("b", "b1")
    assert started(queue) == ["b2"]
    queue.remove("b", "b2")
    assert started(queue) == []
    queue.add("b", "b3")
    assert started(queue) == ["b3"]
    queue.remove("b", "b3")
    queue.add("c", "c1")
    assert started(queue) == ["c1"]
    assert [queue.is_wanted(item) for item in ("a1", "c1")] == [True, True]
    queue.remove("c", "c1")
    assert queue.is_wanted("a2")
    queue.remove("a", "a1")
    assert started(queue) == ["a3"]


def test_an_item_that_is_removed_while_it_waits_is_not_started() -> None:
    """Nothing is left of it; removing an item that is not there changes nothing."""
    queue: FairQueue[str] = FairQueue(limit=1, per_key=1)
    for item in ("a1", "a2", "b1"):
        queue.add(item[0], item)
    queue.remove("a", "a1")
    queue.remove("a", "a1")
    queue.remove("b", "b1")
    queue.remove("c", "c1")
    assert started(queue) == ["a2"]
    assert not queue.is_wanted("a2")
    queue.remove("a", "a2")
    assert started(queue) == []


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.sampled_from("abc"), max_size=30))
def test_every_item_gets_its_turn_within_the_limits(
    limit: int, per_key: int, keys: list[str]
) -> None:
    """Those of one key in the order in which they were added."""
    queue: FairQueue[str] = FairQueue(limit, per_key)
    items = [f"{key}{number:02}" for number, key in enumerate(keys)]
    for item in items:
        queue.add(item[0], item)
    order: list[str] = []
    running: list[str] = []
    for _ in items:
        batch = started(queue)
        running += batch
        order += batch
        assert len(running) <= limit
        assert all(sum(item[0] == key for item in running) <= per_key for key in "abc")
        done = running.pop(0)
        queue.remove(done[0], done)
    assert sorted(order) == sorted(items)
    for key in "abc":
        own = [item for item in order if item[0] == key]
        assert own == sorted(own)
