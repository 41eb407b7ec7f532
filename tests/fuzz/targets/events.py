"""Events from a publisher, and tokens."""

import json

from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from percolator.auth.tokens import Verifier
from percolator.model.events import REASONS
from percolator.stats import Stats
from tests.channels import STORED_MS, stored
from tests.client import upgrade
from tests.fuzz.bench import SECRET, WALL, Bench
from tests.fuzz.targets.messages import EVENTS
from tests.fuzz.targets.target import bench_of, end_by_sweep, json_values, mostly, slabs

_VERIFIER = Verifier(SECRET, lambda: WALL)

usual_fields = {
    "type": st.sampled_from(["price", "trade", "funding", "other"]),
    "slab": slabs,
    "price": st.floats() | st.integers() | st.text(max_size=8),
    "markPrice": st.floats() | st.none(),
    "side": st.sampled_from(["long", "short", "LONG"]),
    "size": st.integers(-1, 2**130).map(str) | st.integers(),
    "rate": st.decimals().map(str) | st.floats(),
    "timestamp": st.integers(STORED_MS - 10**9, STORED_MS + 10**5)
    | st.integers(-1, 2**60)
    | st.floats(),
    "openInterest": st.integers(-1, 2**130).map(str),
    "intervalHours": st.floats() | st.integers(),
    "nextFundingTime": st.integers(STORED_MS, STORED_MS + 10**11) | st.integers(),
    "id": st.text(max_size=20),
    "slot": st.integers(),
    "fee": st.floats() | st.decimals().map(str),
    "seq": st.integers(),
    "__proto__": st.none(),
    "event": st.sampled_from(["price.updated", "trade.executed", "funding.updated"]),
    "slabAddress": slabs,
    "data": st.dictionaries(
        st.sampled_from(
            ["priceE6", "price", "markPriceE6", "side", "size", "rate", "rateE6", "tx", "feeE6"]
        ),
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
    with bench_of("events") as bench:
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
        bench.intake.take(stored(seq, subject, payload))
        assert _counted(bench.stats) == before + 1
        assert bench.hub.book.seq == seq
    bench.now += 1
    bench.hub.flush()
    client.read()
    assert {each["type"] for each in client.receive()} <= EVENTS
    assert set(bench.stats.rejected) <= set(REASONS)
    assert bench.reported == bench.stats.rejected.total()
    end_by_sweep(bench, client)


def _counted(stats: Stats) -> int:
    """Return how many events were counted, as whatever."""
    return stats.events.total() + stats.rejected.total() + stats.unknown_subjects


# Tokens.

parts = st.text("ABCxyz019-_=.", max_size=60) | st.text(max_size=20)
raw_tokens = st.builds(".".join, st.lists(parts, max_size=4)) | st.text(max_size=200)


def check_tokens(token: str) -> None:
    """Expect that no guessed token is valid."""
    assert _VERIFIER.verify(token) is None
