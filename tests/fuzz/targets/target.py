"""What a fuzz target is, and what all of them need: shared strategies, and a bench that is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.bench import Bench, ClientSocket


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
kinds = st.sampled_from(["price", "trades", "funding"])
market_channels = st.builds("{}:{}".format, kinds, slabs)
wildcards = st.builds("{}:*".format, kinds)
channels = st.integers(0, 3).flatmap(lambda dice: market_channels if dice else wildcards)


def mostly(usual: SearchStrategy[Any], other: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Generate the usual values in four cases of five."""
    return st.integers(0, 4).flatmap(lambda dice: usual if dice else other)


cuts = st.lists(st.integers(0, 400), max_size=4)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    """Split bytes at these positions."""
    places = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in pairwise(places) if data[a:b]]


def end_by_sweep(bench: Bench, client: ClientSocket) -> None:
    """Advance the clock until the gateway has closed what the client did not: nothing is left."""
    for _ in range(3):
        bench.now += 60
        if not client.wire.ended:
            for end in bench.gateway.sweep.expired():
                end()
        client.read()
    if not client.is_upgraded and not client.head:
        assert client.wire.ended, "the sweep must close a socket without a request"
    client.end()
    bench.now += 60
    bench.heartbeat.tick()
    bench.check()


_BENCHES: dict[str, Bench] = {}


@contextmanager
def bench_of(name: str) -> Iterator[Bench]:
    """Yield a target's bench, which is kept for the next example, unless this one broke it."""
    bench = _BENCHES.pop(name, None) or Bench(auth=name.endswith("auth"))
    with bench.faults.watched():
        yield bench
    _BENCHES[name] = bench
