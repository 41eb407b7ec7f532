"""Candles are the same whatever stops a projector, and wherever it starts again."""

import json
from collections.abc import Iterable
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from percolator.projections.candles import GRACE_MS, Candle, CandleFold, read
from tests.unit.projections.folding import NOON, Message

SECOND = 1000
"""The interval: so short that several are open at once."""
FOREVER_NS = (NOON + 10_000 * SECOND) * 1_000_000

messages = st.builds(
    Message,
    stored=st.integers(0, 1_500),
    slab=st.sampled_from(["BTC", "ETH", "SOL"]),
    price=st.none() | st.sampled_from([1.0, 2.0, 3.0]),
    size=st.none() | st.integers(0, 9),
    at=st.none() | st.integers(-3_000, 3_000),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """A stream: `stored` and `at` of what is drawn are differences, and time may go back a bit."""
    now, stream = 0, []
    for each in draw(st.lists(messages, max_size=40)):
        now += each.stored if draw(st.booleans()) else each.stored // 50
        stored = max(now - draw(st.sampled_from([0, 0, 0, 0, 300, 2_500])), 0)
        at = None if each.at is None else max(stored + each.at, -NOON)
        stream.append(each._replace(stored=stored, at=at))
    return stream


def reference(stream: list[Message]) -> dict[tuple[int, str], tuple[object, ...]]:
    """Make the candles of a stream in another way: first all minutes, then their events."""
    now, members = 0, []
    for seq, each in enumerate(stream, 1):
        now = max(now, NOON + each.stored)
        if (event := each.event) is not None:
            at = min(now, event.timestamp)
            start = at // SECOND * SECOND
            if now >= start + SECOND + GRACE_MS:
                start = now // SECOND * SECOND
            members.append((start, each.slab, seq, each))
    found: dict[tuple[int, str], tuple[object, ...]] = {}
    for (start, slab), group in groupby(
        sorted(members, key=lambda each: each[:3]), key=lambda each: each[:2]
    ):
        of_minute = [(seq, each) for _, _, seq, each in group]
        trades = [(seq, each) for seq, each in of_minute if each.size is not None]
        # Of prices, those count that no trade came before; no minute counts that a trade of its
        # own or of an earlier minute came for before it was over.
        own = [m for m in members if m[1] == slab and m[3].size is not None]
        if not trades and any(m[0] <= start for m in own if _is_before_end(stream, m[2], start)):
            continue
        first = min((m[2] for m in own), default=len(stream) + 1)
        used = trades or [(seq, each) for seq, each in of_minute if seq < first]
        if used:
            values = [each.price or 0.0 for _, each in used]
            volume = sum(each.size or 0 for _, each in used)
            found[start, slab] = (
                *(values[0], max(values), min(values), values[-1]),
                *(str(volume), len(trades), used[-1][0]),
            )
    return found


def _is_before_end(stream: list[Message], seq: int, start: int) -> bool:
    """Return whether a message comes before a minute is finished."""
    return max(NOON + each.stored for each in stream[:seq]) < start + SECOND + GRACE_MS


class Store:
    """The stream of candles: it accepts a candle only after the last one of its subject."""

    def __init__(self) -> None:
        self.candles: list[Candle] = []
        self.last: dict[str, Candle] = {}

    def write(self, candle: Candle) -> None:
        """Write a candle, unless its market has it or a later one."""
        last = self.last.get(candle.slab)
        if last is not None and last.start >= candle.start:
            assert last.start > candle.start or last == candle
            return
        self.last[candle.slab] = candle
        self.candles.append(candle)


class Projector:
    """One that reads as far as it is let, and writes as many candles as it is let."""

    def __init__(self, store: Store, stream: list[Message]) -> None:
        self._store = store
        self._stream = stream
        self._todo: list[Candle] = []
        written = {
            slab: found
            for slab, candle in store.last.items()
            if (found := read(candle.payload, FOREVER_NS)) is not None
        }
        self._start = max((each.start for each in written.values()), default=0)
        first = (self._start - 61_000) * 1_000_000
        stored = [at for at, each in enumerate(stream) if each.stored_ns >= first]
        self._at = min(stored, default=len(stream))
        self._fold = CandleFold(
            "e1",
            self._emit,
            traded=[slab for slab, each in written.items() if each.source == "trades"],
            interval_ms=SECOND,
        )

    def _emit(self, candles: list[Candle]) -> None:
        if candles[0].start >= self._start:
            self._todo += candles

    def step(self) -> None:
        """Read one message, or learn that there is none."""
        if self._at < len(self._stream):
            each = self._stream[self._at]
            self._at += 1
            self._fold.add(self._at, each.stored_ns, each.slab, each.event)
        else:
            self._fold.advance(FOREVER_NS // 1_000_000)

    def write(self) -> None:
        """Write one candle."""
        if self._todo:
            self._store.write(self._todo.pop(0))


def canonical(candles: Iterable[Candle]) -> list[Candle]:
    return sorted(candles, key=lambda each: (each.start, each.slab))


def candles_of(stream: list[Message]) -> list[Candle]:
    """Return what one projector writes if nothing stops it."""
    store = Store()
    run(Projector(store, stream), len(stream))
    return store.candles


def run(projector: Projector, length: int) -> None:
    """Run a projector until there is nothing to do."""
    for _ in range(length + 1):
        projector.step()
    for _ in range(10 * length + 10):
        projector.write()


@given(streams())
def test_the_fold_makes_the_candles_that_another_way_makes(stream: list[Message]) -> None:
    found, made = candles_of(stream), {}
    for each in found:
        fields = json.loads(each.payload)
        names = ("open", "high", "low", "close", "volume", "trades", "last")
        made[each.start, each.slab] = tuple(fields[name] for name in names)
    assert made == reference(stream)
    assert found == canonical(found)


@given(
    streams(), st.lists(st.sampled_from(["step", "step", "step", "write", "kill"]), max_size=200)
)
def test_a_projector_that_is_killed_anywhere_writes_the_same_candles(
    stream: list[Message], actions: list[str]
) -> None:
    store = Store()
    projector = Projector(store, stream)
    for action in actions:
        match action:
            case "step":
                projector.step()
            case "write":
                projector.write()
            case _:
                projector = Projector(store, stream)
    run(projector, len(stream))
    assert store.candles == candles_of(stream)


ONES = st.tuples(st.sampled_from([0, 1]), st.sampled_from(["step", "step", "write", "kill"]))


@settings(max_examples=200)
@given(streams(), st.lists(ONES, max_size=200))
def test_two_projectors_in_any_order_write_each_candle_once(
    stream: list[Message], actions: list[tuple[int, str]]
) -> None:
    """Each may stop for any time, and both may be killed."""
    store = Store()
    projectors = [Projector(store, stream), Projector(store, stream)]
    for number, action in actions:
        match action:
            case "step":
                projectors[number].step()
            case "write":
                projectors[number].write()
            case _:
                projectors[number] = Projector(store, stream)
    for projector in projectors:
        run(projector, len(stream))
    assert store.candles == candles_of(stream)
