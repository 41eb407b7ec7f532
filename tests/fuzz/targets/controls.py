"""Control frames between messages, and the rate: pongs, fragments, and messages that wait."""

import json
from typing import Any

from hypothesis import strategies as st
from websockets.frames import Opcode

from percolator.fanout.session import FLOOD_SECONDS
from percolator.gateway.connection import SLICE_BYTES
from tests.client import frame, upgrade
from tests.fuzz.bench import Bench
from tests.fuzz.targets.target import bench_of, end_by_sweep, pieces

PONG_SECONDS = 10.0
"""Seconds that a client has to answer a ping on the bench."""

# Pongs.

pong_steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.5, 4.0, 9.0, 11.0, 31.0])),
    st.tuples(st.just("answer"), st.just(b"")),
    st.tuples(st.just("again"), st.integers(1, 40)),
    st.tuples(st.just("other"), st.tuples(st.binary(max_size=125), st.integers(1, 40))),
)
scripts = st.lists(pong_steps, max_size=15)


def check_pongs(script: list[tuple[str, Any]]) -> None:
    """Expect that any pong is a sign of life, and that a client that sends owed ones only stays."""
    with bench_of("pongs") as bench:
        _check_pongs(bench, script)


def _check_pongs(bench: Bench, script: list[tuple[str, Any]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    heartbeat, key = bench.heartbeat, client.connection
    # A first wait of more than the interval: there is a ping to answer.
    answered, unowed = b"", 0
    for what, value in [("wait", 31.0), *script]:
        if client.wire.ended or client.close_code is not None:
            break
        waiting, owed = heartbeat._waiting.get(key), key in heartbeat._pinged
        counted = sum(heartbeat.pongs.counts)
        match what:
            case "wait":
                bench.now += value
                heartbeat.tick()
                client.read()
                overdue = waiting is not None and waiting + PONG_SECONDS <= bench.now
                assert client.wire.aborted == overdue
                continue
            case "answer" if owed:
                payload, count = client.pings[-1], 1
                answered = payload
            case "other":
                payload, count = value
            case _:
                payload, count = answered, value or 1
        client.send(frame(payload, Opcode.PONG) * count)
        unowed += count - owed
        timed = owed and payload == client.pings[-1]
        assert sum(heartbeat.pongs.counts) == counted + timed
        assert client.is_open or (unowed and client.close_code == 1008)
        assert key not in heartbeat._waiting
        assert key not in heartbeat._pinged
    end_by_sweep(bench, client)


# The rate.

LONG_BREAK = 1.0
"""Seconds after which a flood has ended for certain."""
FREE = 2 * SLICE_BYTES // len(frame(b'{"type":"ping","id":0}'))
"""Messages over the rate that are carried out at most: those of two slices of a read."""
bursts = st.lists(
    st.tuples(st.integers(1, 260), st.sampled_from([0.0, 0.1, 0.6, 5.0, 30.0])), max_size=6
)


def check_rate(script: list[tuple[int, float]]) -> None:
    """Expect a reply to each message, in order, at the rate; a flood of 10 s is closed."""
    with bench_of("rate") as bench:
        _check_rate(bench, script)


def _check_rate(bench: Bench, script: list[tuple[int, float]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    client.receive()
    rate, burst = bench.settings.messages_per_second, bench.settings.message_burst
    start = calm_at = bench.now
    sent = answered = 0
    for count, pause in script:
        if not client.is_open:
            break
        texts = (json.dumps({"type": "ping", "id": sent + number}) for number in range(count))
        client.send(b"".join(frame(text.encode()) for text in texts))
        replies = client.receive()
        assert [(each["type"], each["id"]) for each in replies] == [
            ("pong", answered + number) for number in range(len(replies))
        ]
        sent, answered = sent + count, answered + len(replies)
        assert answered <= burst + rate * (bench.now - start) + FREE
        if answered != sent:
            assert client.close_code == 1008
            assert bench.now - calm_at >= FLOOD_SECONDS
        calm_at = calm_at if pause < LONG_BREAK else bench.now
        bench.now += pause
    end_by_sweep(bench, client)


# Control frames between fragments.

control_frames = st.one_of(
    st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)),
    st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.just(b"x" * 126)),
    st.tuples(st.just(Opcode.CLOSE), st.sampled_from([b"", b"\x03\xe8", b"\x03", b"\x03\xed"])),
)
fragments = st.lists(
    st.tuples(st.integers(0, 12), st.lists(control_frames, max_size=3)), min_size=1, max_size=6
)
Part = tuple[int, list[tuple[Opcode, bytes]]]
"""The size of a fragment, and the control frames after it."""
REQUEST = json.dumps({"type": "ping", "id": "é" * 8}, ensure_ascii=False).encode()


def check_fragments(
    example: tuple[list[Part], list[int]],
) -> None:
    """Expect one reply to a message in fragments, and a pong for each ping between them."""
    with bench_of("fragments") as bench:
        _check_fragments(bench, *example)


def _check_fragments(bench: Bench, parts: list[Part], at: list[int]) -> None:
    client = bench.connect()
    client.send(upgrade())
    client.receive()
    controls = [each for _, between in parts for each in between]
    for piece in pieces(_interleave(parts), at):
        client.send(piece)
        bench.now += 1  # no rate limit is reached: a client that is in order gets its answer
    pings = [payload for opcode, payload in controls if opcode is Opcode.PING]
    if all(opcode is not Opcode.CLOSE and len(payload) <= 125 for opcode, payload in controls):
        if client.is_open:
            assert client.pongs == pings
            assert [each["id"] for each in client.receive()] == ["é" * 8]
        else:
            assert client.close_code == 1008
    else:
        assert not client.is_open
        assert client.pongs == pings[: len(client.pongs)]
        assert client.receive() == []
    end_by_sweep(bench, client)


def _interleave(parts: list[Part]) -> bytes:
    """Return the request in fragments of these sizes, control frames after each; then the rest."""
    sent, start = bytearray(), 0
    for size, between in parts:
        opcode = Opcode.CONT if sent else Opcode.TEXT
        sent += frame(REQUEST[start : start + size], opcode, fin=False)
        start += size
        for kind, payload in between:
            sent += _control(kind, payload)
    return bytes(sent + frame(REQUEST[start:], Opcode.CONT))


def _control(kind: Opcode, payload: bytes) -> bytes:
    """Return a control frame, even one that is too long."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([0x80 | kind]) + length + bytes(4) + payload
