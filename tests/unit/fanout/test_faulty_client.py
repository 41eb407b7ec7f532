"""A client that cannot be written to is cut off, and costs those after it nothing."""

from percolator.fanout.followers import Cursor, Group
from percolator.fanout.stats import Stats


def test_a_write_that_fails_leaves_nobody_else_out() -> None:
    got: list[str] = []
    cut: list[str] = []

    def broken(_data: bytes) -> None:
        raise RuntimeError("this transport is closed")

    group = Group({})
    for name in "abcd":
        write = broken if name in "bd" else (lambda _data, name=name: got.append(name))
        group.add(Cursor(write, lambda name=name: cut.append(name)))  # type: ignore[misc]
    group.deliver(b"x", 1, Stats(0))
    assert got == ["a", "c"]
    assert set(cut) == {"b", "d"}
