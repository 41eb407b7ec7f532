"""The replay buffer: frames from the stream, removed in order, some bytes at a time."""

from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.replay_buffer import ReplayBuffer
from tests.channels import channel


def replay_buffer(seq: int) -> ReplayBuffer:
    """A buffer in front of an empty log that begins after seq 100."""
    return ReplayBuffer(LosslessLog(channel("trades:SOL"), 3, floor=100, last_seq=None), seq)


def test_a_new_buffer_is_at_the_position_of_the_client() -> None:
    """There is nothing to send yet."""
    buffer = replay_buffer(7)
    assert (len(buffer), buffer.seq, buffer.fetched_through, buffer.complete) == (0, 7, 7, False)
    buffer.on_drained()
    assert buffer.pop(100) == []
    assert buffer.seq == 7


def test_at_least_one_frame_is_returned() -> None:
    """However long it is; otherwise it would stay forever."""
    buffer = replay_buffer(0)
    buffer.add(3, b"x" * 100)
    assert buffer.pop(10) == [b"x" * 100]
    assert buffer.seq == 3


def test_frames_are_returned_up_to_a_size() -> None:
    """The seq is that of the last one returned."""
    buffer = replay_buffer(0)
    for seq in (3, 5, 8):
        buffer.add(seq, b"x" * 4)
    assert buffer.pop(8) == [b"xxxx", b"xxxx"]
    assert (buffer.seq, len(buffer)) == (5, 1)


def test_an_empty_buffer_is_at_the_position_that_was_fetched() -> None:
    """Even if the last seqs fetched held nothing for the channel."""
    buffer = replay_buffer(0)
    buffer.add(3, b"x")
    buffer.fetched_through = 9
    assert buffer.seq == 0
    buffer.pop(100)
    assert buffer.seq == 9


@given(st.lists(st.integers(1, 20), max_size=20), st.integers(1, 40))
def test_all_frames_are_returned_once_and_in_order(sizes: list[int], limit: int) -> None:
    """Each turn is within its size, unless a single frame is larger."""
    buffer = replay_buffer(0)
    frames = [bytes([seq]) * size for seq, size in enumerate(sizes, start=1)]
    for seq, frame in enumerate(frames, start=1):
        buffer.add(seq, frame)
    taken: list[bytes] = []
    while buffer:
        turn = buffer.pop(limit)
        assert len(turn) == 1 or sum(map(len, turn)) <= limit
        taken += turn
        assert buffer.seq == len(taken)
    assert taken == frames


def test_a_buffer_leads_to_the_log_that_takes_over() -> None:
    """Once everything before the log has been sent."""
    buffer = replay_buffer(0)
    buffer.add(99, b"x")
    buffer.fetched_through = 100
    before = buffer.reaches_log
    buffer.pop(100)
    assert (before, buffer.reaches_log) == (False, True)
    assert buffer.position == buffer.log.head
