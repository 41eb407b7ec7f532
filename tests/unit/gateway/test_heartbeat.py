"""Heartbeat: which connection is pinged when, and which is terminated."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from percolator.gateway.heartbeat import PATIENCE, Heartbeat


class Peer:
    """A connection that records its pings, and when it was terminated."""

    def __init__(self, harness: "HeartbeatHarness") -> None:
        self.is_open = True
        self.is_behind = False
        self.reading = True
        self.pings: list[bytes] = []
        self.times: list[float] = []
        self.terminated: list[float] = []
        self._harness = harness

    def send(self, data: bytes) -> None:
        """Record one frame, which must be a ping."""
        reader = StreamReader()
        reader.feed_data(data)
        with pytest.raises(StopIteration) as parsed:
            next(Frame.parse(reader.read_exact, mask=False))
        frame = parsed.value.value
        assert (frame.opcode, frame.fin) == (Opcode.PING, True)
        self.pings.append(bytes(frame.data))
        self.times.append(self._harness.now)

    def terminate(self) -> None:
        """Record the time."""
        self.is_open = False
        self.terminated.append(self._harness.now)

    def pong(self) -> None:
        """Answer the last ping, as a connection reports it."""
        self._harness.heartbeat.alive(self)
        assert self._harness.heartbeat.pong(self, self.pings[-1])


class HeartbeatHarness:
    """A heartbeat, its clock, and its peers."""

    def __init__(self, interval: float, timeout: float, peers: int = 0, now: float = 0.0) -> None:
        self.now = now
        self.heartbeat = Heartbeat(lambda: self.now, interval, timeout)
        self.peers = [self.enter() for _ in range(peers)]

    def enter(self) -> Peer:
        """Add a connection."""
        peer = Peer(self)
        self.heartbeat.add(peer)
        return peer

    def tick(self, now: float) -> None:
        """Set the clock, and tick."""
        self.now = now
        self.heartbeat.tick()

    def run(self, until: float, step: float = 0.125, *, answering: bool = True) -> None:
        """Tick every `step` seconds; with `answering`, peers answer each ping at once."""
        while self.now < until:
            before = [len(peer.pings) for peer in self.peers]
            self.tick(self.now + step)
            for peer, had in zip(self.peers, before, strict=True):
                if answering and len(peer.pings) > had:
                    peer.pong()


def test_each_connection_is_pinged_once_per_interval() -> None:
    """In turn, from the first interval on."""
    harness = HeartbeatHarness(interval=32, timeout=10, peers=8)
    harness.run(until=96)
    assert [len(peer.pings) for peer in harness.peers] == [3] * 8
    for peer in harness.peers:
        assert [later - at for at, later in pairwise(peer.times)] == [32.0, 32.0]


def test_a_thousand_pings_never_leave_together() -> None:
    """Each tick sends its share and no more."""
    harness = HeartbeatHarness(interval=32, timeout=10, peers=1024)
    harness.run(until=32)
    times = [at for peer in harness.peers for at in peer.times]
    assert len(times) == 1024
    assert max(times.count(at) for at in set(times)) == 4


def test_a_late_tick_pings_each_connection_at_most_once() -> None:
    """Missed pings are not made up for."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=3)
    harness.tick(500.0)
    assert [len(peer.pings) for peer in harness.peers] == [1, 1, 1]


def test_a_connection_that_does_not_answer_in_time_is_terminated() -> None:
    """Once, at the first tick after the timeout."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    (peer,) = harness.peers
    harness.tick(1.0)
    harness.tick(10.9)
    assert peer.terminated == []
    harness.run(until=40)
    assert peer.terminated == [11.025]


def test_a_connection_that_answers_stays() -> None:
    """Until it stops answering."""
    harness = HeartbeatHarness(interval=16, timeout=10, peers=4)
    harness.run(until=200)
    assert all(peer.is_open for peer in harness.peers)
    harness.run(until=240, answering=False)
    assert not any(peer.is_open for peer in harness.peers)


@given(st.floats(0, 1e6), st.sampled_from([0.1, 1.5, 5.0, 10.0]))
def test_rounding_never_keeps_a_silent_connection(now: float, timeout: float) -> None:
    """Sums of floats are rounded; a connection must not slip through between two of them."""
    harness = HeartbeatHarness(interval=1, timeout=timeout, peers=1, now=now)
    harness.tick(now + 2)
    (sent,) = harness.peers[0].times
    harness.tick(sent + timeout)
    harness.tick(sent + timeout + 0.25)
    assert not harness.peers[0].is_open


def test_a_connection_is_not_pinged_again_before_its_pong() -> None:
    """A client may answer only the last ping, and we would wait for the first."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    (peer,) = harness.peers
    for second in range(1, 10):
        harness.tick(float(second))
    assert len(peer.pings) == 1
    peer.pong()
    harness.tick(10.0)
    assert len(peer.pings) == 2
    harness.tick(11.0)
    assert peer.is_open


def test_any_sign_of_life_after_a_ping_counts() -> None:
    """It need not be a pong; the next ping asks for the next one."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    (peer,) = harness.peers
    for second in range(1, 40):
        harness.tick(float(second))
        harness.heartbeat.alive(peer)
    assert (peer.is_open, len(peer.pings)) == (True, 39)
    harness.run(until=60, answering=False)
    assert not peer.is_open


def test_the_first_pong_after_a_ping_is_owed_whatever_its_payload() -> None:
    """Only one with our payload says how long it took; further ones answer nothing."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    (peer,) = harness.peers
    pong = harness.heartbeat.pong
    assert not pong(peer, b"")
    for second, payload in enumerate((b"", b"12345678", b"another"), start=1):
        harness.tick(float(second))
        harness.heartbeat.alive(peer)
        assert [pong(peer, payload), pong(peer, payload), pong(peer, peer.pings[-1])] == [
            True,
            False,
            False,
        ]
    assert sum(harness.heartbeat.pongs.counts) == 0


def test_a_client_that_is_behind_has_longer() -> None:
    """A ping that waits behind data has not been sent; without any sign, even that time ends."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=2)
    behind, other = harness.peers
    behind.is_behind = True
    harness.run(until=1 + 10 + 1, answering=False)
    assert (behind.is_open, other.is_open) == (True, False)
    harness.run(until=1 + PATIENCE * 10 - 1, answering=False)
    assert behind.is_open
    harness.run(until=1 + PATIENCE * 10 + 10 + 1, answering=False)
    assert not behind.is_open


def test_the_time_of_a_connection_that_is_not_read_from_stands_still() -> None:
    """Afterwards it has the full timeout; one that owes no sign of life owes none then either."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    (peer,) = harness.peers
    harness.heartbeat.resumed(peer)
    harness.tick(1.0)
    peer.reading = False
    harness.run(until=100, answering=False)
    peer.reading = True
    harness.heartbeat.resumed(peer)
    harness.run(until=109.75, answering=False)
    assert peer.is_open
    harness.run(until=111, answering=False)
    assert not peer.is_open


def test_a_repeated_pong_counts_once() -> None:
    """The second one answers no ping."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=1)
    harness.tick(1.0)
    (peer,) = harness.peers
    peer.pong()
    assert not harness.heartbeat.pong(peer, peer.pings[-1])
    assert sum(harness.heartbeat.pongs.counts) == 1


def test_round_trips_are_counted_in_a_histogram() -> None:
    """Bounds are inclusive; the last bucket counts the rest."""
    harness = HeartbeatHarness(interval=1, timeout=60, peers=1)
    (peer,) = harness.peers
    waits = [0.0, 0.25, 0.375, 10.0, 20.0]
    for wait in waits:
        harness.tick(harness.now + 1)
        harness.now += wait
        peer.pong()
    pongs = harness.heartbeat.pongs
    counts = dict(zip((*pongs.bounds, None), pongs.counts, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {
        0.001: 1,
        0.25: 1,
        0.5: 1,
        10.0: 1,
        None: 1,
    }
    assert pongs.total == sum(waits)


def test_no_pong_is_awaited_from_a_closed_connection() -> None:
    """It is not terminated again, and is not pinged."""
    harness = HeartbeatHarness(interval=1, timeout=10, peers=2)
    harness.tick(1.0)
    gone, stays = harness.peers
    gone.is_open = False
    harness.heartbeat.forget(gone)
    stays.pong()
    harness.tick(20.0)
    assert gone.terminated == []
    assert (len(gone.pings), len(stays.pings)) == (1, 2)


def test_closed_connections_do_not_delay_the_others() -> None:
    """The last in line is pinged within its interval, even if all before it are gone."""
    harness = HeartbeatHarness(interval=32, timeout=10, peers=1024)
    for peer in harness.peers[:-1]:
        peer.is_open = False
    harness.run(until=64)
    assert [at >= 32 for at in harness.peers[-1].times] == [False, True]


def test_without_a_timeout_no_connection_is_terminated() -> None:
    """The limit is switched off; pings still go out."""
    harness = HeartbeatHarness(interval=1, timeout=0, peers=1)
    for second in range(1, 100):
        harness.tick(float(second))
    assert (harness.peers[0].is_open, len(harness.peers[0].pings)) == (True, 99)


def test_without_an_interval_no_connection_is_pinged_or_kept() -> None:
    """The heartbeat is switched off; connections leave no trace."""
    harness = HeartbeatHarness(interval=0, timeout=10, peers=3)
    harness.run(until=100)
    assert [peer.pings for peer in harness.peers] == [[], [], []]
    assert len(harness.heartbeat._turns) == 0


@given(st.lists(st.integers(0, 3), max_size=80))
def test_closed_connections_leave_no_trace(steps: list[int]) -> None:
    """After one interval and one timeout, in any order of events."""
    harness = HeartbeatHarness(interval=4, timeout=2)
    for step in steps:
        match step:
            case 0:
                harness.peers.append(harness.enter())
            case 1 if harness.peers:
                gone = harness.peers.pop(0)
                gone.is_open = False
                harness.heartbeat.forget(gone)
            case 2:
                harness.run(until=harness.now + 1)
            case _:
                harness.run(until=harness.now + 1, answering=False)
    for peer in harness.peers:
        peer.is_open = False
        harness.heartbeat.forget(peer)
    harness.run(until=harness.now + 4 + 2 + 1)
    heartbeat = harness.heartbeat
    left = heartbeat._turns, heartbeat._waiting, heartbeat._pinged, heartbeat._checks
    assert [len(each) for each in left] == [0, 0, 0, 0]
