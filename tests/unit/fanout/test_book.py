"""The book: a fold over the stream's events, and a call to wake the hub when there is news."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.book import Book
from percolator.fanout.followers import Cursor
from percolator.fanout.latest_log import LatestLog
from percolator.fanout.log import ChannelLog
from percolator.fanout.lossless_log import LosslessLog
from percolator.fanout.market_log import MarketLog
from percolator.fanout.price_fold import PriceRule, Remark
from percolator.fanout.price_log import PriceLog
from percolator.model.channel import Channel
from percolator.model.kinds import KINDS
from tests.channels import KIND_NAMES, channel_of
from tests.unit.fanout.harness import Writer
from tests.unit.fanout.reference import make_event
from tests.unit.wire import Message, message

EACH_IN_TURN = {channel_of(kind, "SOL").name: seq for seq, kind in enumerate(KIND_NAMES, start=1)}


class Reader:
    """A book, its clock, and how often it has called `wake`."""

    def __init__(self, *, capacity: int = 3) -> None:
        self.now = 10.0
        self.calls = 0
        self.book = Book(clock=lambda: self.now, wake=self.wake, log_capacity=capacity)

    def wake(self) -> None:
        """Count the call."""
        self.calls += 1

    def begin(self, epoch: str = "e", after: int = 0, *, complete: bool = True) -> None:
        """Start reading."""
        self.book.begin(epoch, after, first_seq=1, complete=complete)

    def publish(self, seq: int, kind: str, slab: str = "SOL") -> None:
        """Publish the next event."""
        self.book.publish(seq, channel_of(kind, slab), make_event(kind, slab, seq), seq)

    def seed(self, seq: int, kind: str, slab: str = "SOL") -> None:
        """Seed the book with an event."""
        self.book.seed(seq, channel_of(kind, slab), make_event(kind, slab, seq), seq)

    def follow(self, kind: str, slab: str = "SOL") -> ChannelLog:
        """Add a follower to a channel."""
        log = self.book.log(channel_of(kind, slab))
        log.followers[Cursor(Writer(lambda _: None))] = None
        return log

    def state(self) -> dict[str, int]:
        """Return the seq of each channel's newest event."""
        logs = self.book.logs.items()
        return {channel.name: log.latest.seq for channel, log in logs if log.latest is not None}

    def told(self, kind: str, since: int) -> list[Message]:
        """Return what follows a seq of a channel."""
        log = self.book.logs[channel_of(kind, "SOL")]
        assert isinstance(log, LosslessLog)
        return [message(outgoing.frame) for outgoing in log.after(log.position_after(since))]


def test_a_new_book_has_read_nothing() -> None:
    """There is no stream yet."""
    reader = Reader()
    assert (reader.book.epoch, reader.book.seq, reader.book.logs) == ("", 0, {})
    assert reader.book.due is None


def test_each_channel_has_a_log_of_its_kind() -> None:
    """A latest-wins log holds one event, the others several."""
    reader = Reader()
    reader.begin()
    for seq, kind in enumerate(KIND_NAMES, start=1):
        reader.publish(seq, kind)
    kinds = {channel.kind.name: type(log) for channel, log in reader.book.logs.items()}
    latest = {"price": PriceLog, "market": MarketLog}
    assert kinds == dict.fromkeys(KIND_NAMES, LosslessLog) | latest
    assert reader.state() == EACH_IN_TURN


def test_the_book_advances_with_every_seq() -> None:
    """Whether an event was valid or not, and whether it was present or not."""
    reader = Reader()
    reader.begin(after=7)
    assert (reader.book.epoch, reader.book.seq) == ("e", 7)
    reader.publish(8, "trade")
    reader.book.skip(9)
    assert reader.book.seq == 9
    reader.book.record_gap(20)
    assert reader.book.seq == 19


def test_the_first_event_of_a_channel_in_a_complete_stream_has_prev_0() -> None:
    """The channel had no event before it."""
    reader = Reader()
    reader.begin(after=7, complete=True)
    reader.publish(8, "trade")
    assert reader.told("trade", since=0)[0]["prev"] == 0


def test_the_first_event_of_a_channel_in_an_incomplete_stream_has_an_unknown_prev() -> None:
    """So a client that resumes from an earlier seq gets a gap."""
    reader = Reader()
    reader.begin(after=7, complete=False)
    reader.publish(8, "trade")
    assert reader.told("trade", since=7)[0]["prev"] is None
    assert reader.told("trade", since=3)[0]["type"] == "gap"


def test_a_seeded_event_is_the_state_from_before_the_start() -> None:
    """The event after it names it as its predecessor."""
    reader = Reader()
    reader.begin(after=7)
    for seq, kind in enumerate(KIND_NAMES, start=1):
        reader.seed(seq, kind)
    assert reader.state() == EACH_IN_TURN
    reader.publish(8, "trade")
    assert reader.told("trade", since=2)[0]["prev"] == 2


def test_an_event_without_followers_does_not_wake_the_hub() -> None:
    """Nothing is computed for a slab without subscribers."""
    reader = Reader()
    reader.begin()
    for seq, kind in enumerate(KIND_NAMES, start=1):
        reader.publish(seq, kind)
    assert reader.calls == 0
    assert reader.book.take_news() == []


def test_followed_events_wake_the_hub_once_until_they_are_sent() -> None:
    """However many events there are."""
    reader = Reader()
    reader.begin()
    log = reader.follow("trade")
    for seq in (1, 2, 3):
        reader.publish(seq, "trade")
    assert reader.calls == 1
    assert reader.book.take_news() == [log]
    assert reader.book.take_news() == []
    reader.publish(4, "trade")
    assert reader.calls == 2


def test_a_followed_price_is_conflated() -> None:
    """The first is shown at once, the last at the end of the window, with no useless wake-up."""
    reader = Reader()
    reader.begin()
    log = reader.follow("price")
    reader.publish(1, "price")
    assert (reader.calls, reader.book.take_news()) == (1, [log])
    reader.now += 0.1
    for seq in (2, 3):
        reader.publish(seq, "price")
    assert (reader.calls, reader.book.take_news()) == (1, [])
    assert reader.book.due == 10.5
    reader.now = 10.5
    assert reader.book.take_news() == [log]
    assert isinstance(log, LatestLog)
    assert log.shown is log.latest


def test_a_price_without_followers_is_shown_at_once() -> None:
    """The next subscriber gets the newest."""
    reader = Reader()
    reader.begin()
    for seq in (1, 2):
        reader.publish(seq, "price")
    log = reader.book.logs[channel_of("price", "SOL")]
    assert isinstance(log, LatestLog)
    assert log.shown is log.latest
    assert reader.book.due is None


def test_lost_seqs_are_announced_on_every_lossless_channel() -> None:
    """The channel of a lost event is unknown; a lost price is replaced by the next one anyway."""
    reader = Reader()
    reader.begin()
    logs = [reader.follow(kind.name) for kind in KINDS if kind.lossless]
    reader.follow("price")
    reader.publish(1, "trade")
    reader.book.take_news()
    reader.book.record_gap(5)
    assert reader.book.take_news() == logs
    assert [told["type"] for told in reader.told("trade", since=1)] == ["gap"]
    assert [told["type"] for told in reader.told("funding", since=0)] == ["gap"]
    assert reader.state() == {"trades:SOL": 1}


def test_a_channel_that_appears_after_a_loss_has_an_unknown_prev() -> None:
    """It may have had events before."""
    reader = Reader()
    reader.begin()
    reader.book.record_gap(5)
    reader.publish(6, "trade")
    assert reader.told("trade", since=4)[0]["prev"] is None
    assert reader.told("trade", since=0)[0]["type"] == "gap"


def test_a_new_stream_replaces_the_state() -> None:
    """The hub is woken for the followers; channels without followers are dropped."""
    reader = Reader()
    reader.begin("old")
    followed = [reader.follow(kind) for kind in KIND_NAMES]
    for seq, kind in enumerate(KIND_NAMES, start=1):
        reader.publish(seq, kind)
        reader.publish(seq + 10, kind, "BTC")
    reader.book.take_news()
    reader.begin("new", after=7, complete=False)
    assert (reader.book.epoch, reader.book.seq) == ("new", 7)
    assert list(reader.book.logs.values()) == followed
    assert reader.book.take_news() == followed
    assert reader.state() == {}
    (gap,) = [message(outgoing.frame) for outgoing in followed[1].after(2)]
    assert (gap["from"], gap["to"], gap["epoch"]) == (2, 8, "new")


def test_the_seeds_of_a_new_stream_go_to_the_followers() -> None:
    """After a gap that ends with them."""
    reader = Reader()
    reader.begin("old")
    log = reader.follow("trade")
    reader.publish(1, "trade")
    reader.begin("new", after=7)
    reader.seed(5, "trade")
    assert reader.book.take_news() == [log]
    gap, head = [message(outgoing.frame) for outgoing in log.after(1)]
    assert (gap["from"], gap["to"], gap["epoch"]) == (1, 5, "new")
    assert (head["seq"], head["prev"]) == (5, None)


def test_the_same_stream_continues_where_it_was() -> None:
    """Nothing is dropped."""
    reader = Reader()
    reader.begin("e")
    reader.publish(1, "trade")
    reader.begin("e", after=1)
    assert reader.state() == {"trades:SOL": 1}
    assert reader.told("trade", since=0)[0]["prev"] == 0


events = st.lists(
    st.tuples(st.sampled_from(KIND_NAMES), st.sampled_from(["SOL", "BTC"])), max_size=30
)


@given(events, st.integers(0, 30))
def test_a_book_that_starts_late_has_the_same_state(
    events: list[tuple[str, str]], after: int
) -> None:
    """Seeded with the last values: the same newest events, and the same prev from there on."""
    through, late = Reader(capacity=100), Reader(capacity=100)
    through.begin()
    numbered = list(enumerate(events, start=1))
    for seq, (kind, slab) in numbered:
        through.publish(seq, kind, slab)
    heads = {named: seq for seq, named in numbered[:after]}
    late.begin(after=min(after, len(events)))
    for (kind, slab), seq in heads.items():
        late.seed(seq, kind, slab)
    for seq, (kind, slab) in numbered[after:]:
        late.publish(seq, kind, slab)
    assert late.state() == through.state()
    assert late.book.seq == through.book.seq
    for named, log in late.book.logs.items():
        if isinstance(log, LosslessLog):
            same = through.book.logs[named]
            had = heads.get((named.kind.name, named.slab), 0)
            assert [outgoing.frame for outgoing in log.after(had)] == [
                outgoing.frame for outgoing in same.after(had)
            ]


def test_the_book_names_the_newest_seq_of_each_lossless_channel() -> None:
    """After a gap, the newest event of a channel is not known."""
    reader = Reader()
    reader.begin()
    reader.publish(1, "price")
    reader.publish(2, "trade")
    reader.publish(3, "funding")
    reader.book.record_gap(9, {channel_of("funding", "SOL")})
    assert reader.book.last_seqs() == {
        channel_of("trade", "SOL"): 2,
        channel_of("funding", "SOL"): 0,
    }


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    """Its seq is passed all the same, and its followers get nothing."""
    reader = Reader()
    reader.begin()
    reader.publish(5, "price")
    log = reader.follow("price")
    outdated = make_event("price", "SOL", 4)
    remark = reader.book.publish(6, channel_of("price", "SOL"), outdated, 99)
    assert remark == Remark("outdated", 5.0, left_out=True)
    assert (reader.state(), reader.book.seq) == ({"price:SOL": 5}, 6)
    assert reader.book.take_news() == []
    reader.publish(7, "price")
    assert reader.book.take_news() == [log]


def test_events_of_other_kinds_are_never_left_out() -> None:
    """Whatever their timestamps say."""
    reader = Reader()
    reader.begin()
    for seq, kind in enumerate([name for name in KIND_NAMES if name != "price"] * 2, start=1):
        event = make_event(kind, "SOL", 100 - seq)
        assert reader.book.publish(seq, channel_of(kind, "SOL"), event, 1_000) is None
        assert reader.book.logs[channel_of(kind, "SOL")].newest_seq == seq


def test_a_jump_is_passed_on_with_a_remark_or_left_out() -> None:
    """As the rule says."""
    flags, refuses = PriceRule(10), PriceRule(10, refuse_jumps=True)
    for rule, shown in ((flags, 200), (refuses, 1)):
        book = Book(clock=lambda: 0.0, wake=lambda: None, price_rule=rule)
        book.begin("e", 0, first_seq=1, complete=True)
        for seq in (1, 200):
            remark = book.publish(
                seq, channel_of("price", "SOL"), make_event("price", "SOL", seq), seq
            )
        assert remark == Remark("price_jump", 1.0, left_out=rule is refuses)
        assert book.logs[channel_of("price", "SOL")].newest_seq == shown


def test_a_seeded_price_is_what_the_next_one_is_compared_with() -> None:
    """As if it had been read."""
    reader = Reader()
    reader.begin(after=7)
    reader.seed(5, "price")
    assert reader.book.publish(8, channel_of("price", "SOL"), make_event("price", "SOL", 4), 99)
    assert reader.state() == {"price:SOL": 5}


@pytest.mark.parametrize("lost", [None, set()])
def test_after_a_loss_any_price_is_accepted(lost: set[Channel] | None) -> None:
    """The last one may be among those that were lost; a gateway that starts now knows none."""
    reader = Reader()
    reader.begin()
    reader.publish(5, "price")
    reader.book.record_gap(9, lost)
    older = make_event("price", "SOL", 3)
    assert reader.book.publish(9, channel_of("price", "SOL"), older, 99) is None
    assert reader.state() == {"price:SOL": 9}


def test_a_loss_on_another_channel_leaves_the_last_price() -> None:
    """It is known that no price is missing."""
    reader = Reader()
    reader.begin()
    reader.publish(5, "price")
    reader.book.record_gap(9, {channel_of("trade", "SOL")})
    older = make_event("price", "SOL", 3)
    assert reader.book.publish(9, channel_of("price", "SOL"), older, 99)


def test_once_the_stream_has_dropped_the_last_price_any_is_accepted() -> None:
    """Followed markets keep what they show until then."""
    reader = Reader()
    reader.begin()
    reader.publish(5, "price")
    reader.follow("price")
    reader.follow("trade")
    reader.book.forget_before(6)
    assert reader.state() == {"price:SOL": 5}
    older = make_event("price", "SOL", 3)
    assert reader.book.publish(6, channel_of("price", "SOL"), older, 99) is None
    assert reader.state() == {"price:SOL": 6}


def test_a_new_stream_begins_with_any_price() -> None:
    """Also of a market that has followers."""
    reader = Reader()
    reader.begin("old")
    reader.follow("price")
    reader.publish(5, "price")
    reader.begin("new")
    reader.publish(1, "price")
    assert reader.state() == {"price:SOL": 1}


def test_markets_that_the_stream_no_longer_holds_are_forgotten() -> None:
    """Of all kinds; those that are followed stay, with what they hold."""
    reader = Reader()
    reader.begin()
    reader.follow("trade", "A")
    reader.follow("price", "A")
    for seq, (kind, slab) in enumerate(
        [("trade", "A"), ("price", "A"), ("trade", "B"), ("price", "B"), ("trade", "C")], start=1
    ):
        reader.publish(seq, kind, slab)
    reader.book.forget_before(5)
    assert reader.state() == {"trades:A": 1, "price:A": 2, "trades:C": 5}
    reader.book.forget_before(6)
    assert reader.state() == {"trades:A": 1, "price:A": 2}


def test_a_gap_alone_does_not_keep_a_log() -> None:
    """It is forgotten once the stream has nothing that old."""
    reader = Reader()
    reader.begin()
    log = reader.follow("trade")
    reader.book.record_gap(3, {channel_of("trade", "SOL")})
    log.followers.clear()
    reader.book.forget_before(2)
    assert reader.book.logs
    reader.book.forget_before(3)
    assert not reader.book.logs


def test_a_channel_that_was_forgotten_does_not_claim_to_know_its_past() -> None:
    """A client that resumes from before that is sent to the stream; the next prev is not known."""
    reader = Reader()
    reader.begin()
    for seq in (1, 2, 3):
        reader.publish(seq, "trade")
    reader.book.forget_before(4)
    log = reader.follow("trade")
    assert isinstance(log, LosslessLog)
    assert [log.reaches(seq) for seq in (1, 2, 3)] == [False, False, True]
    reader.publish(4, "trade")
    assert [event["prev"] for event in reader.told("trade", 3)] == [None]


def test_nothing_is_forgotten_that_was_not_read_yet() -> None:
    """The stream may have dropped events that the feed has not missed yet."""
    reader = Reader()
    reader.begin()
    reader.publish(1, "trade")
    reader.book.forget_before(100)
    assert reader.book.logs == {}
    log = reader.follow("trade")
    assert isinstance(log, LosslessLog)
    assert (log.reaches(0), log.reaches(1)) == (False, True)
