"""A fold is a fold: a gateway that starts at any event agrees with one that has read them all.

The stream is a list. The gateway that starts late is told each subject's state, as it is found in
what the stream still holds, and reads on from there.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percolator.app.intake import Intake
from percolator.app.markets import Markets
from percolator.app.price_history import PriceHistory
from percolator.app.routes import EVERYTHING
from percolator.app.views import market_view
from percolator.errors import EventError
from percolator.fanout.book import Book
from percolator.fanout.log import ChannelLog, Log
from percolator.fanout.logs_of_all import LatestOfAll
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.price_fold import MEMORY_MS, PriceRule
from percolator.jetstream.direct import Stored
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.kinds import PRICE
from percolator.stats import Stats
from tests.channels import STORED_MS, decode, subject_of
from tests.gateway import event_json
from tests.unit.wire import Message, message

SLABS = ("A", "B")
RULES = [PriceRule(), PriceRule(10), PriceRule(10, refuse_jumps=True)]

Fields = dict[str, object]


class Sent(NamedTuple):
    """One message to the stream: of a kind and a market, some milliseconds after the one before."""

    kind: str
    slab: str
    wait: int
    lag: int
    fields: Fields

    def payload(self, stored_ms: int) -> bytes:
        """Return the event as its publisher wrote it."""
        return event_json(self.kind, **{"timestamp": stored_ms - self.lag, **self.fields})


PRICES = st.sampled_from([{"price": value} for value in (100, 100, 101, 99, 100e6, 1e-4)])
OTHERS = st.sampled_from(
    [
        ("trade", {}),
        ("funding", {}),
        ("liquidation", {}),
        ("market", {"status": "active"}),
        ("market", {"status": "paused"}),
        ("market", {"status": "retired"}),
        ("trade", {"size": 1}),
        ("market", {"status": "gone"}),
    ]
)
ANY = st.tuples(st.just("price"), PRICES) | st.just(("price", {"price": -1})) | OTHERS
WAITS = st.sampled_from([0, 1, 300, 300, 20_000, MEMORY_MS, MEMORY_MS + 1])
LAGS = st.sampled_from([-500, 0, 0, 1, 100, 900, 30_000, 10**9])
SENT = st.builds(
    lambda slab, wait, lag, one: Sent(one[0], slab, wait, lag, one[1]),
    st.sampled_from(SLABS),
    WAITS,
    LAGS,
    ANY,
)


def stream_of(sent: Sequence[Sent]) -> list[Stored]:
    """Store messages, in order."""
    now, found = STORED_MS, []
    for seq, one in enumerate(sent, start=1):
        now += one.wait
        subject = subject_of(one.kind, one.slab)
        found.append(Stored(seq, subject, one.payload(now), now * 1_000_000))
    return found


class Gateway:
    """What a gateway makes of a stream, without sockets."""

    def __init__(self, rule: PriceRule) -> None:
        self.book = Book(clock=lambda: 0.0, wake=lambda: None, price_rule=rule)
        self.history = PriceHistory(rule, events.decode)
        self.intake = Intake(self.book, Stats(0.0), self._report)

    def _report(self, *_: object, **__: object) -> None:
        """Ignore it."""

    def start(self, held: Sequence[Stored], after: int, first_seq: int) -> None:
        """Begin after a seq of a stream that holds some events up to there."""
        self.intake.begin("e", after, first_seq=first_seq, complete=first_seq == 1)
        states = (
            self.state([one for one in held if one.subject == each])
            for each in {one.subject for one in held}
        )
        for stored in sorted(filter(None, states)):
            self.intake.seed(stored)

    def state(self, held: Sequence[Stored]) -> Stored | None:
        """Return the event of a subject that is its state; of prices, by as few as possible."""
        channel = Channel.of_subject(held[-1].subject)
        assert channel is not None
        if channel.kind is not PRICE:
            return next(filter(is_valid, reversed(held)), None)
        for start in range(len(held) - 1, 0, -1):
            found = self.history.settle(held[start:], held[start - 1].ms)
            if found is not None:
                return found
        return self.history.fold(held)

    def read(self, stored: Sequence[Stored]) -> None:
        """Read events in order."""
        for one in stored:
            self.intake.take(one)

    def view(self) -> dict[str, Any]:
        """Return all that clients can see of each market."""
        logs = self.book.logs.values()
        return {
            "seq": self.book.seq,
            "markets": {slab: market_view(self.book, slab, lambda _: True) for slab in SLABS},
            "latest": {log.channel.name: log.newest_seq for log in logs},
            "retired": self.book.retired,
            "snapshots": {log.channel.name: snapshots_of(log) for log in self.book.all_logs()},
            "page": json.loads(Markets(self.book).body(EVERYTHING)),
        }


def snapshots_of(log: Log) -> list[Message]:
    """Return what a client gets at first that follows a log without a start of its own.

    Without `prev`, which is not known of an event from before the start.
    """
    if isinstance(log, LosslessLog) and log.channel.is_wildcard:
        return []
    assert isinstance(log, ChannelLog | LatestOfAll)
    found = [message(one.frame) for one in log.after(log.start_position)]
    return sorted(({**one, "prev": None} for one in found), key=lambda one: one["seq"])


def is_valid(stored: Stored) -> bool:
    """Whether an event is valid."""
    try:
        decode(stored.subject, stored.payload, stored.ms)
    except EventError:
        return False
    return True


@given(st.lists(SENT, min_size=1, max_size=25), st.sampled_from(RULES), st.data())
@settings(max_examples=200)
def test_a_gateway_that_starts_at_any_event_agrees_with_one_that_has_read_them_all(
    sent: list[Sent], rule: PriceRule, data: st.DataObject
) -> None:
    """With outdated prices, jumps, retired markets and rejected events in the stream."""
    stream = stream_of(sent)
    after = data.draw(st.integers(0, len(stream)), label="after")
    running, late = Gateway(rule), Gateway(rule)
    running.start([], 0, 1)
    running.read(stream)
    late.start(stream[:after], after, 1)
    late.read(stream[after:])
    assert late.view() == running.view()


@given(st.lists(SENT, min_size=2, max_size=25), st.sampled_from(RULES), st.data())
@settings(max_examples=200)
def test_they_agree_on_what_the_stream_has_not_dropped(
    sent: list[Sent], rule: PriceRule, data: st.DataObject
) -> None:
    """A market's price may differ only if the stream has dropped it and kept later ones of it."""
    stream = stream_of(sent)
    after = data.draw(st.integers(1, len(stream)), label="after")
    first = data.draw(st.integers(1, after + 1), label="first seq")
    held = stream[first - 1 : after]
    running, late = Gateway(rule), Gateway(rule)
    running.start([], 0, 1)
    running.read(stream[:after])
    running.book.forget_before(first)
    kept = set(running.book.logs)
    late.start(held, after, first)
    running.read(stream[after:])
    late.read(stream[after:])
    later = {Channel.of_subject(one.subject) for one in held if is_valid(one)}
    unsure = {
        channel
        for channel in (Channel(PRICE, slab) for slab in SLABS)
        if channel not in kept and channel in later
    }
    for slab in SLABS:
        theirs, ours = (
            market_view(each.book, slab, lambda channel: channel not in unsure)
            for each in (running, late)
        )
        assert theirs == ours


def test_a_market_whose_prices_refuse_each_other_shows_the_same_on_every_gateway() -> None:
    """A publisher sends millionths, and another one USD: the first of them stays."""
    rule = RULES[-1]
    sent = [Sent("price", "A", 500, 0, {"price": 150e6 if n % 2 else 150}) for n in range(400)]
    stream = stream_of(sent)
    for after in (0, 1, 2, 199, 200, 399):
        late = Gateway(rule)
        late.start(stream[:after], after, 1)
        late.read(stream[after:])
        assert json.dumps(late.view()["markets"]["A"]["price"]["price"]) == "150.0"


@pytest.mark.parametrize("rule", RULES)
def test_two_publishers_of_one_market_show_the_newest_price(rule: PriceRule) -> None:
    """The one that is behind changes nothing, and takes over when the other one stops."""
    both = [
        Sent("price", "A", 100, lag, {"price": 100 + step + lag / 1_000})
        for step in range(5)
        for lag in (0, 900)
    ]
    gateway = Gateway(rule)
    gateway.start([], 0, 1)
    stream = stream_of([*both, *(Sent("price", "A", 500, 900, {"price": 107}) for _ in range(3))])
    for seq in range(len(both)):
        gateway.read(stream[seq : seq + 1])
        assert gateway.view()["markets"]["A"]["price"]["seq"] == seq + 1 - seq % 2
    gateway.read(stream[len(both) :])
    assert gateway.view()["markets"]["A"]["price"]["price"] == 107
