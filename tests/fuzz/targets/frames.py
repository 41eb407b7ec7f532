"""Frames after the upgrade, valid or not."""

from hypothesis import strategies as st

from tests.client import upgrade
from tests.fuzz.bench import Bench
from tests.fuzz.targets.target import bench_of, end_by_sweep, mostly, pieces


def _frame(first: int, payload: bytes) -> bytes:
    """Return a frame with any first byte, valid or not; the mask changes nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([first]) + length + bytes(4) + payload


def many(first: int, count: int) -> bytes:
    """Return more messages than a client may send at once."""
    return _frame(first, b'{"type":"ping"}') * count


def _lying_frame(first: int, size: int, payload: bytes) -> bytes:
    return bytes([first, 0x80 | size]) + bytes(4) + payload


bytes_ = st.integers(0, 255)
frames = st.one_of(
    st.builds(
        _frame,
        mostly(st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8A]), bytes_),
        st.binary(max_size=200) | st.sampled_from([b'{"type":"ping"}', b"\xff", b"\x03\xe8"]),
    ),
    st.builds(_lying_frame, bytes_, st.integers(0, 127), st.binary(max_size=130)),
    st.builds(_frame, st.sampled_from([0x81, 0x82, 0x01]), st.just(b"x" * 5_000)),
    st.builds(many, st.sampled_from([0x81, 0x89, 0x8A, 0x01]), st.integers(20, 30)),
    st.binary(max_size=30),
)


def check_frames(example: tuple[list[bytes], list[int]]) -> None:
    """Expect replies, pongs or a known close code, and silence after the close."""
    with bench_of("frames") as bench:
        _check_frames(bench, *example)


def _check_frames(bench: Bench, sent: list[bytes], at: list[int]) -> None:
    client = bench.connect()
    client.send(upgrade())
    assert client.status == 101
    for piece in pieces(b"".join(sent), at):
        client.send(piece)
        bench.now += 0.1
        bench.heartbeat.tick()
        client.read()
    end_by_sweep(bench, client)
