"""Followers: a single client, and a group of clients that is written to once each."""

from percolator.fanout.followers import Cursor, Group
from percolator.fanout.lossless_log import LosslessLog
from percolator.stats import Stats
from tests.channels import channel_of
from tests.unit.fanout.harness import Writer


def log(slab: str = "SOL") -> LosslessLog:
    """An empty log."""
    return LosslessLog(channel_of("trade", slab), 3, floor=0, last_seq=0)


def cursor(written: list[bytes]) -> Cursor:
    """A client whose writes are recorded."""
    return Cursor(Writer(written.append))


def test_a_follower_is_registered_with_its_logs_until_it_is_removed() -> None:
    """Removing it twice is harmless."""
    logs = log("A"), log("B")
    follower = Group({logs[0]: 0, logs[1]: 0})
    follower.follow()
    assert [list(one.followers) for one in logs] == [[follower], [follower]]
    follower.unfollow()
    follower.unfollow()
    assert [list(one.followers) for one in logs] == [[], []]


def test_a_client_in_a_group_follows_through_the_group() -> None:
    """It shares the group's positions, and is not written to on its own."""
    sol = log()
    group = Group({sol: 7})
    group.follow()
    client = cursor([])
    client.positions[sol] = 7
    client.follow()
    group.add(client)
    assert list(sol.followers) == [group]
    assert client.positions is group.positions
    assert list(group.members) == [client]


def test_a_client_that_leaves_its_group_keeps_its_positions() -> None:
    """The group continues without it."""
    sol = log()
    group = Group({sol: 7})
    client = cursor([])
    group.add(client)
    group.positions[sol] = 8
    client.stand_alone()
    group.positions[sol] = 9
    assert client.positions == {sol: 8}
    assert client.group is None
    assert group.members == {}
    assert client in sol.followers


def test_leaving_a_group_changes_nothing_for_a_client_without_one() -> None:
    """There is nothing to leave."""
    sol = log()
    client = cursor([])
    client.positions[sol] = 3
    client.stand_alone()
    assert client.positions == {sol: 3}
    assert not sol.followers


def test_each_member_gets_the_same_bytes_in_one_write() -> None:
    """Everything is counted."""
    written: list[list[bytes]] = [[], [], []]
    stats = Stats(0.0)
    group = Group({})
    for one in written[:2]:
        group.add(cursor(one))
    for data in (b"abc", b"f"):
        group.deliver(data, 2, stats)
    group.add(cursor(written[2]))
    group.deliver(b"de", 1, stats)
    assert written == [[b"abc", b"f", b"de"], [b"abc", b"f", b"de"], [b"de"]]
    assert (stats.messages_sent, stats.bytes_sent) == (2 * 2 * 2 + 3, 4 * 2 + 2 * 3)


def test_a_single_client_is_written_to_and_counted() -> None:
    """As a group of one."""
    written: list[bytes] = []
    stats = Stats(0.0)
    cursor(written).deliver(b"abc", 2, stats)
    assert written == [b"abc"]
    assert (stats.messages_sent, stats.bytes_sent) == (2, 3)


def test_a_member_may_leave_during_a_write_to_its_group() -> None:
    """As a client does if that very write fills its buffer."""
    written: list[bytes] = []
    group = Group({})

    def leave(data: bytes) -> None:
        written.append(data)
        first.stand_alone()

    first = Cursor(Writer(leave))
    group.add(first)
    group.add(cursor(written))
    group.deliver(b"a", 1, Stats(0.0))
    group.deliver(b"b", 1, Stats(0.0))
    assert written == [b"a", b"a", b"b"]


class Kernel:
    """A client whose kernel accepts a number of bytes, and whose buffer accepts the rest."""

    def __init__(self, room: int) -> None:
        self.pushed = self.sent = b""
        self.try_send = self._push
        self._room = room

    def _push(self, data: bytes) -> int:
        if not self._room:
            raise BlockingIOError
        taken = data[: self._room]
        self._room -= len(taken)
        self.pushed += taken
        return len(taken)

    def send(self, data: bytes) -> None:
        """Record what goes through the buffer."""
        self.sent += data

    def terminate(self) -> None:
        """Do nothing: there is no fault."""
        raise AssertionError


def test_bytes_that_the_kernel_does_not_accept_go_through_the_buffer() -> None:
    """All of them, the rest of them, or none."""
    kernels = [Kernel(room) for room in (9, 4, 0)]
    group = Group({})
    for kernel in kernels:
        group.add(Cursor(kernel))
    stats = Stats(0.0)
    group.deliver(b"abcdef", 1, stats)
    assert [(kernel.pushed, kernel.sent) for kernel in kernels] == [
        (b"abcdef", b""),
        (b"abcd", b"ef"),
        (b"", b"abcdef"),
    ]
    assert (stats.messages_sent, stats.bytes_sent) == (3, 18)
