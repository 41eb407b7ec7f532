"""The fuzz targets: for each input, the possible examples and the promises that must hold.

No exception leaves a target unless a promise is broken: each input gets an answer, a close or a
rejection; afterwards nothing is held, and all counters agree.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from websockets.frames import Frame, Opcode

from percolator.auth.tokens import Verifier
from percolator.model.events import REASONS
from percolator.stats import Stats
from tests.client import upgrade
from tests.fuzz.bench import SECRET, WALL, Bench, ClientSocket
from tests.gateway import event_json

FINAL = frozenset({"subscribed", "unsubscribed", "pong", "authenticated"})
EVENTS = frozenset({"price", "trade", "funding", "gap"})
STATUSES = frozenset({0, 101, 200, 400, 401, 404, 405, 426, 429, 431})


@dataclass(frozen=True, slots=True)
class Target:
    """`inputs` generates examples; `check` raises if one breaks a promise; `found` did so once."""

    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]
    found: tuple[Any, ...] = ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
slabs = st.sampled_from(["SOL", "BTC", "A", "B", "C", "D", "E", "F"])
channels = st.builds("{}:{}".format, st.sampled_from(["price", "trades", "funding"]), slabs)
odd_channels = st.sampled_from(["price", "price:", "price:X:junk", "trade:SOL", "\x00", "é:é"])


def mostly(usual: SearchStrategy[Any], other: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Generate the usual values in four cases of five."""
    return st.integers(0, 4).flatmap(lambda dice: usual if dice else other)


# The head of an HTTP request.

tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
header_names = st.sampled_from(
    [
        *("Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"),
        *("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin", "X-Forwarded-For"),
        *("Authorization", "Content-Length", "Transfer-Encoding", "If-None-Match", "Expect"),
    ]
)
header_values = st.sampled_from(
    ["", "websocket", "Upgrade", "13", "AAAAAAAAAAAAAAAAAAAAAA==", "*", "1", "chunked", "::1", ","]
) | st.text(max_size=30)
paths = st.sampled_from(
    ["/", "/ws", "//", "/ws/stats", "/metrics", "/markets", "/markets/SOL", "*", "http://x/"]
) | st.builds("/{}?token={}".format, tokens, st.text(max_size=20))
request_lines = st.builds(
    "{} {} {}".format,
    mostly(st.just("GET"), tokens),
    mostly(paths, st.text(max_size=40)),
    mostly(st.just("HTTP/1.1"), st.sampled_from(["HTTP/1.0", "HTTP/2", "HTP/1.1", ""])),
)
header_lines = st.builds("{}: {}".format, mostly(header_names, tokens), header_values)


def _assemble(line: str, headers: list[str], ending: bytes) -> bytes:
    text = "\r\n".join([line, *headers])
    return text.encode("utf-8", "surrogatepass") + ending


heads = (
    st.builds(
        _assemble,
        request_lines,
        st.lists(mostly(header_lines, st.text(max_size=40)), max_size=8),
        mostly(st.just(b"\r\n\r\n"), st.binary(max_size=8)),
    )
    | st.builds(lambda junk: upgrade() + junk, st.binary(max_size=40))
    | st.binary(max_size=200)
    | st.builds(lambda byte: byte * 9_000, st.binary(min_size=1, max_size=1))
)
cuts = st.lists(st.integers(0, 400), max_size=4)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    """Split bytes at these positions."""
    places = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in pairwise(places) if data[a:b]]


def check_head(example: tuple[bytes, list[int]]) -> None:
    """Expect a complete, known response, or a wait that the sweep ends; never a traceback."""
    with _bench("head") as bench:
        _check_head(bench, *example)


def _check_head(bench: Bench, data: bytes, at: list[int]) -> None:
    bench.now += 60
    client = bench.connect()
    for piece in pieces(data, at):
        client.send(piece)
    assert client.status in STATUSES, client.head
    if client.head and not client.is_upgraded:
        length = next(
            part for part in client.head.split(b"\r\n") if part.startswith(b"Content-Length")
        )
        assert int(length.split()[1]) == len(client.body)
    _end_by_sweep(bench, client)
    bench.admission.sweep()


# Frames after the upgrade.


def _frame(first: int, payload: bytes) -> bytes:
    """Return a frame with any first byte, valid or not; the mask changes nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([first]) + length + bytes(4) + payload


def _many(first: int, count: int) -> bytes:
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
    st.builds(_many, st.sampled_from([0x81, 0x89, 0x8A, 0x01]), st.integers(20, 30)),
    st.binary(max_size=30),
)


def check_frames(example: tuple[list[bytes], list[int]]) -> None:
    """Expect replies, pongs or a known close code, and silence after the close."""
    with _bench("frames") as bench:
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
    _end_by_sweep(bench, client)


# Messages from a client.

ids = mostly(st.none() | st.integers(-5, 5) | st.text(max_size=5), json_values)
sinces = mostly(
    st.integers(0, 40) | st.dictionaries(channels, st.integers(0, 40), max_size=3), json_values
)
lists = st.lists(mostly(channels, odd_channels | json_values), max_size=8)
messages = st.fixed_dictionaries(
    {"type": mostly(st.sampled_from(["subscribe", "unsubscribe", "ping", "auth"]), json_values)},
    optional={
        "channels": mostly(lists, json_values),
        "slabAddress": mostly(slabs, json_values),
        "since": sinces,
        "epoch": mostly(st.sampled_from(["e", "other"]), json_values),
        "recent": mostly(st.integers(0, 10), json_values),
        "id": ids,
        "token": mostly(st.sampled_from(["good", "narrow", "bad"]), json_values),
    },
)
texts = mostly(messages.map(json.dumps), json_values.map(json.dumps) | st.text(max_size=60))
steps = st.one_of(
    st.tuples(st.just("send"), texts),
    st.tuples(st.just("publish"), channels),
    st.tuples(st.just("flush"), st.none()),
    st.tuples(st.just("block"), st.booleans()),
    st.tuples(st.just("wait"), st.floats(0, 2)),
)


def check_messages(example: tuple[bool, list[tuple[str, Any]]]) -> None:
    """Expect one final reply per request, or only errors, with its id; no unrequested events."""
    auth, script = example
    with _bench("messages with auth" if auth else "messages") as bench:
        _check_messages(bench, script)


def _check_messages(bench: Bench, script: list[tuple[str, Any]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    assert [each["type"] for each in client.receive()] == ["connected"]
    for what, value in script:
        if client.close_code is not None:
            break
        match what:
            case "send":
                _send_request(bench, client, value)
            case "publish":
                _publish(bench, value)
            case "block" if value:
                client.connection.pause_writing()
            case "block":
                client.connection.resume_writing()
            case "wait":
                bench.now += value
        if what != "send":
            bench.hub.flush()
            client.read()
            assert {each["type"] for each in client.receive()} <= EVENTS
    bench.metrics()
    _end_by_sweep(bench, client)


def _send_request(bench: Bench, client: ClientSocket, text: str) -> None:
    for name, token in (("good", bench.token("*")), ("narrow", bench.token("price:*"))):
        text = text.replace(f'"token": "{name}"', f'"token": "{token}"')
    payload = text.encode("utf-8", "surrogatepass")
    client.send(Frame(Opcode.TEXT, payload).serialize(mask=True))
    replies = client.receive()
    if client.close_code is not None:
        return
    kinds = [each["type"] for each in replies]
    assert sum(kind in FINAL for kind in kinds) == 1 or set(kinds) == {"error"}, (text, replies)
    assert kinds[-1] in FINAL | {"error"}
    request = json.loads(text) if _is_json(text) else None
    expected_id = request.get("id") if isinstance(request, dict) else None
    for reply in replies:
        assert reply.get("id") in (expected_id, None)
        assert len(str(reply.get("channel", ""))) <= 64


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _publish(bench: Bench, channel: str) -> None:
    kind, _, slab = channel.partition(":")
    name: Any = "trade" if kind == "trades" else kind
    bench.intake.take(bench.hub.book.seq + 1, f"percolator.{name}.{slab}", event_json(name))


# Events from a publisher.

usual_fields = {
    "type": st.sampled_from(["price", "trade", "funding", "other"]),
    "slab": slabs,
    "price": st.floats() | st.integers() | st.text(max_size=8),
    "markPrice": st.floats() | st.none(),
    "side": st.sampled_from(["long", "short", "LONG"]),
    "size": st.integers(-1, 2**130).map(str) | st.integers(),
    "rate": st.decimals().map(str) | st.floats(),
    "timestamp": st.integers(-1, 2**60) | st.floats(),
    "event": st.sampled_from(["price.updated", "trade.executed", "funding.updated"]),
    "slabAddress": slabs,
    "data": st.dictionaries(
        st.sampled_from(["priceE6", "price", "markPriceE6", "side", "size", "rate", "rateE6"]),
        st.integers(-5, 10**9) | st.text(max_size=12) | st.floats(),
    ),
}
payloads = st.one_of(
    st.fixed_dictionaries(
        {}, optional={name: mostly(usual, json_values) for name, usual in usual_fields.items()}
    ).map(lambda fields: json.dumps(fields).encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
    st.sampled_from([b"[" * 5_000, b'{"price":1e999}', b"x" * 9_000]),
)
subjects = mostly(
    st.builds("percolator.{}.{}".format, st.sampled_from(["price", "trade", "funding"]), slabs),
    st.text(max_size=30) | st.sampled_from(["percolator.price", "percolator.x.SOL", ""]),
)


def check_events(example: list[tuple[str, bytes]]) -> None:
    """Expect each event to be accepted, rejected for a known reason, or of an unknown kind."""
    with _bench("events") as bench:
        _check_events(bench, example)


def _check_events(bench: Bench, example: list[tuple[str, bytes]]) -> None:
    client = bench.connect()
    client.send(upgrade())
    for slab in ("SOL", "BTC"):
        text = json.dumps({"type": "subscribe", "slabAddress": slab}).encode()
        client.send(Frame(Opcode.TEXT, text).serialize(mask=True))
    client.receive()
    for subject, payload in example:
        before = _counted(bench.stats)
        seq = bench.hub.book.seq + 1
        bench.intake.take(seq, subject, payload)
        assert _counted(bench.stats) == before + 1
        assert bench.hub.book.seq == seq
    bench.now += 1
    bench.hub.flush()
    client.read()
    assert {each["type"] for each in client.receive()} <= EVENTS
    assert set(bench.stats.rejected) <= set(REASONS)
    assert bench.reported == bench.stats.rejected.total()
    _end_by_sweep(bench, client)


def _counted(stats: Stats) -> int:
    """Return how many events were counted, as whatever."""
    return stats.events.total() + stats.rejected.total() + stats.unknown_subjects


# Tokens.

parts = st.text("ABCxyz019-_=.", max_size=60) | st.text(max_size=20)
raw_tokens = st.builds(".".join, st.lists(parts, max_size=4)) | st.text(max_size=200)


def check_tokens(token: str) -> None:
    """Expect that no guessed token is valid."""
    assert _VERIFIER.verify(token) is None


def _end_by_sweep(bench: Bench, client: ClientSocket) -> None:
    """Advance the clock until the gateway has closed what the client did not: nothing is left."""
    for _ in range(3):
        bench.now += 60
        if not client.wire.ended:
            bench.gateway._expire()
        client.read()
    if not client.is_upgraded and not client.head:
        assert client.wire.ended, "the sweep must close a socket without a request"
    client.end()
    bench.now += 60
    bench.heartbeat.tick()
    bench.check()


_BENCHES: dict[str, Bench] = {}


@contextmanager
def _bench(name: str) -> Iterator[Bench]:
    """Yield a target's bench, which is kept for the next example, unless this one broke it."""
    bench = _BENCHES.pop(name, None) or Bench(auth=name.endswith("auth"))
    with bench.faults.watched():
        yield bench
    _BENCHES[name] = bench


_VERIFIER = Verifier(SECRET, lambda: WALL)

TARGETS = {
    "head": Target(
        st.tuples(heads, cuts),
        check_head,
        found=((b"GET / HTTP/1.1\r\nIf-None-Match: a\r\nIf-None-Match: b\r\n\r\n", []),),
    ),
    "frames": Target(
        st.tuples(st.lists(frames, max_size=6), cuts),
        check_frames,
        found=(([_many(0x81, 23), b"\xff\xff"], []),),
    ),
    "messages": Target(st.tuples(st.booleans(), st.lists(steps, max_size=15)), check_messages),
    "events": Target(st.lists(st.tuples(subjects, payloads), max_size=5), check_events),
    "tokens": Target(raw_tokens, check_tokens),
}
