"""A client that cannot be written to is cut off, at no cost to the clients after it."""

import pytest

from percolator.fanout.followers import Cursor, Group
from percolator.fanout.reader import Start
from percolator.stats import Stats
from tests.channels import channel
from tests.unit.fanout.harness import HubHarness, Writer


def test_a_failed_write_skips_no_other_client() -> None:
    got: list[str] = []
    cut: list[str] = []

    def broken(_data: bytes) -> None:
        raise RuntimeError("this transport is closed")

    group = Group({})
    for name in "abcd":
        write = broken if name in "bd" else (lambda _data, name=name: got.append(name))
        group.add(Cursor(Writer(write, lambda name=name: cut.append(name))))  # type: ignore[misc]
    group.deliver(b"x", 1, Stats(0))
    assert got == ["a", "c"]
    assert set(cut) == {"b", "d"}


@pytest.mark.parametrize("epoch", ["e", "another"])
def test_a_single_client_that_cannot_be_written_to_is_cut_off_too(
    harness: HubHarness, epoch: str
) -> None:
    """Otherwise it would continue after messages, of a log or a buffer, that it never got."""

    def broken(_data: bytes) -> None:
        raise RuntimeError("this transport is closed")

    harness.publish(1, 2, 3)
    alone = Cursor(Writer(broken, lambda: harness.hub.remove(alone)))
    harness.hub.subscribe(alone, channel("trades:SOL"), Start(0, epoch))
    other = harness.client("trades:SOL", start=Start(0, "e"))
    assert other.seqs == [1, 2, 3]
    assert list(harness.log().followers) == [other.cursor.group]
    assert harness.limits.clients == {"SOL": 1}
