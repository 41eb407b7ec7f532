"""Channel logs: what comes after a position, whatever has happened to the stream."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.fanout.log import Entry, OutgoingMessage, Position
from percolator.fanout.lossless_log import LosslessLog
from tests.channels import channel_of
from tests.unit.fanout.reference import make_event
from tests.unit.wire import message

Said = tuple[object, ...]


def said(outgoing: Iterable[OutgoingMessage]) -> list[Said]:
    """Return the messages in short: (seq, prev), or ("gap", from, to), perhaps with an epoch."""
    short: list[Said] = []
    for each in outgoing:
        told = message(each.frame)
        assert each.gap == (told["type"] == "gap")
        if each.gap:
            assert told["channel"] == each.log.channel.name
            epoch = [told["epoch"]] if "epoch" in told else []
            short.append(("gap", told["from"], told["to"], *epoch))
        else:
            assert told["slab"] == each.log.channel.slab
            flag = ["snapshot"] if told.get("snapshot") else []
            short.append((told["seq"], told["prev"], *flag))
    return short


class Lossless:
    """A lossless log of a stream that is known from its beginning, and what follows a position."""

    def __init__(self, *seqs: int, kind: str = "trade", capacity: int = 3) -> None:
        self.log = LosslessLog(channel_of(kind, "SOL"), capacity, floor=0, last_seq=0)
        self.order = 0
        self.publish(*seqs)

    def publish(self, *seqs: int) -> None:
        """Publish events with these seqs."""
        for seq in seqs:
            self.order += 10
            self.log.append(self.order, seq, make_event(self.log.channel.kind.name, "SOL", seq))

    def record_gap(self, before: int) -> None:
        """Record a gap before a seq."""
        self.order += 10
        self.log.append_gap(self.order, before)

    def after(self, position: Position) -> list[Said]:
        """Return what follows a position; the last message leads to the head."""
        outgoing = list(self.log.after(position))
        assert [each.order for each in outgoing] == sorted(each.order for each in outgoing)
        assert not outgoing or outgoing[-1].position == self.log.head
        return said(outgoing)

    def since(self, seq: int) -> list[Said]:
        """Return what follows a seq of the stream that is read now."""
        return self.after(self.log.position_after(seq))


# Lossless logs: what follows a position.


def test_all_events_after_a_position_are_returned_in_order() -> None:
    """Each with the seq of the one before it, 0 for the first of all."""
    channel = Lossless(3, 5, 8)
    assert channel.since(0) == [(3, 0), (5, 3), (8, 5)]
    assert channel.since(4) == [(5, 3), (8, 5)]
    assert channel.since(5) == [(8, 5)]


@pytest.mark.parametrize("seq", [8, 9, 100])
def test_nothing_follows_the_head_or_a_position_ahead_of_it(seq: int) -> None:
    """A cursor that has read more on another gateway waits until this one catches up."""
    assert Lossless(3, 5, 8).since(seq) == []


def test_a_client_that_has_read_ahead_gets_only_new_events() -> None:
    """Once this gateway has caught up with the other."""
    channel = Lossless(3, 5)
    ahead = channel.log.position_after(8)
    channel.publish(7, 8)
    assert channel.after(ahead) == []
    channel.publish(12)
    assert channel.after(ahead) == [(12, 8)]


def test_a_message_is_made_when_it_is_asked_for() -> None:
    """So a turn of a client far behind costs no more than what it is sent."""
    channel = Lossless(101, 102, 103)
    following = channel.log.after(0)
    assert said([next(following), next(following)]) == [(101, 0), (102, 101)]
    newest = channel.log.latest
    assert newest is not None
    assert newest.message is None


def test_an_event_is_encoded_once_for_all_clients() -> None:
    """All of them get the same bytes."""
    channel = Lossless(3, kind="funding")
    (first,), (again,) = channel.log.after(0), channel.log.after(0)
    assert first.frame is again.frame
    (snapshot,), (same) = channel.log.after(channel.log.start_position), channel.log.latest
    assert same is not None
    assert snapshot.frame is same.snapshot
    assert snapshot.frame != first.frame


def test_an_entry_without_an_event_has_the_given_frame() -> None:
    """A gap, for example."""
    entry = Entry.of_frame(1, 3, b"gap")
    assert (entry.frame, entry.event, entry.seq) == (b"gap", None, 3)


# What has been dropped.


def test_dropped_events_are_announced_by_a_gap() -> None:
    """It ends at the first event that is still here, whose prev lies within it."""
    channel = Lossless(3, 5, 8, 9, 12)
    assert channel.since(0) == [("gap", 0, 8), (8, 5), (9, 8), (12, 9)]
    assert channel.since(4) == [("gap", 4, 8), (8, 5), (9, 8), (12, 9)]
    assert channel.since(5) == [(8, 5), (9, 8), (12, 9)]


def test_a_log_reaches_back_to_a_seq_if_it_holds_everything_after_it() -> None:
    """Down to the seq of the last dropped event."""
    log = Lossless(3, 5, 8, 9, 12).log
    assert [log.reaches(seq) for seq in (0, 4, 5, 6, 100)] == [False, False, True, True, True]


@given(st.lists(st.integers(1, 5), max_size=12), st.integers(1, 5), st.integers(0, 60))
def test_no_event_is_missing_without_a_gap(steps: list[int], capacity: int, since: int) -> None:
    """Compared with the list of all events, from any seq."""
    seqs = [sum(steps[: end + 1]) for end in range(len(steps))]
    channel = Lossless(*seqs, capacity=capacity)
    chain = list(zip(seqs, [0, *seqs], strict=False))
    owed = [(seq, prev) for seq, prev in chain if seq > since]
    here = owed[-capacity:]
    gap = [("gap", since, here[0][0])] if len(owed) > capacity else []
    assert channel.since(since) == [*gap, *here]
    assert channel.log.count_after(channel.log.position_after(since)) == len(here)
    assert channel.log.reaches(since) == (not gap)


# Recent events, and new subscribers.


@pytest.mark.parametrize(
    ("count", "events"), [(1, [9]), (2, [8, 9]), (3, [5, 8, 9]), (4, [5, 8, 9]), (99, [5, 8, 9])]
)
def test_the_last_events_are_returned_as_far_as_the_log_has_them(
    count: int, events: list[int]
) -> None:
    """With no gap before them: a new subscriber has missed nothing."""
    channel = Lossless(3, 5, 8, 9)
    recent = channel.after(channel.log.position_before(count))
    assert [told[0] for told in recent] == events


def test_the_last_events_do_not_reach_back_over_a_gap() -> None:
    """The gap was before the client subscribed."""
    channel = Lossless(3, 5, capacity=9)
    channel.record_gap(before=8)
    assert channel.after(channel.log.position_before(2)) == []
    channel.publish(9)
    assert channel.after(channel.log.position_before(2)) == [(9, None)]


def test_an_empty_log_has_no_recent_events() -> None:
    """A client may request them all the same."""
    channel = Lossless()
    assert channel.after(channel.log.position_before(5)) == []


def test_a_new_subscriber_to_trades_begins_at_the_head() -> None:
    """Nothing before, everything after, including what comes before the first flush."""
    channel = Lossless(3, 5)
    here = channel.log.start_position
    assert channel.after(here) == []
    channel.publish(8)
    assert channel.after(here) == [(8, 5)]


def test_a_new_subscriber_to_funding_gets_the_last_rate_as_a_snapshot() -> None:
    """The last one at the time of the subscribe; later rates follow."""
    channel = Lossless(3, 5, kind="funding")
    here = channel.log.start_position
    assert channel.after(here) == [(5, 3, "snapshot")]
    channel.publish(8)
    assert channel.after(here) == [(5, 3, "snapshot"), (8, 5)]
    channel.publish(9, 10)
    assert channel.after(here) == [(8, 5), (9, 8), (10, 9)]
    channel.publish(11)
    assert channel.after(here) == [("gap", 5, 9), (9, 8), (10, 9), (11, 10)]


def test_a_new_subscriber_after_a_gap_gets_the_last_rate_and_the_gap() -> None:
    """The rate is old, and the gap tells the client so."""
    channel = Lossless(3, kind="funding")
    channel.record_gap(before=8)
    assert channel.after(channel.log.start_position) == [(3, 0, "snapshot"), ("gap", 3, 8)]


def test_the_last_rate_is_known_even_if_gaps_have_filled_the_log() -> None:
    """It is the state of the market."""
    channel = Lossless(3, kind="funding", capacity=1)
    channel.record_gap(before=8)
    assert channel.after(channel.log.start_position) == [(3, 0, "snapshot"), ("gap", 3, 8)]


def test_a_new_subscriber_to_an_empty_funding_channel_waits() -> None:
    """There is no rate yet."""
    channel = Lossless(kind="funding")
    here = channel.log.start_position
    assert channel.after(here) == []
    channel.publish(3)
    assert channel.after(here) == [(3, 0)]


# What the stream has lost.


def test_a_loss_is_announced_and_the_next_event_has_an_unknown_prev() -> None:
    """From the last event that is known."""
    channel = Lossless(3)
    channel.record_gap(before=8)
    channel.publish(9, 10)
    assert channel.since(3) == [("gap", 3, 8), (9, None), (10, 9)]
    assert channel.since(7) == [(9, None), (10, 9)]


def test_a_second_loss_begins_where_the_first_ended() -> None:
    """What lay between them is unknown."""
    channel = Lossless(3)
    channel.record_gap(before=8)
    channel.record_gap(before=12)
    assert channel.since(3) == [("gap", 3, 8), ("gap", 7, 12)]


def test_a_loss_in_an_empty_log_goes_back_to_the_beginning() -> None:
    """There may have been events in it."""
    channel = Lossless()
    channel.record_gap(before=8)
    assert channel.since(0) == [("gap", 0, 8)]
    assert not channel.log.is_blank


def test_a_log_may_hold_gaps_and_no_events() -> None:
    """The gaps still announce everything that was lost."""
    channel = Lossless(3, capacity=1)
    channel.record_gap(before=8)
    assert channel.since(0) == [("gap", 0, 4), ("gap", 3, 8)]
    assert channel.since(3) == [("gap", 3, 8)]


# Where reading began.


def test_events_before_the_beginning_are_unknown() -> None:
    """A log of a stream that is read from the middle holds everything after that."""
    log = LosslessLog(channel_of("trade", "SOL"), 3, floor=100, last_seq=None)
    assert said(log.after(log.position_after(100))) == []
    assert said(log.after(log.position_after(7))) == [("gap", 7, 101)]
    log.append(1, 105, make_event("trade", "SOL", 105))
    assert said(log.after(log.position_after(100))) == [(105, None)]
    assert said(log.after(log.position_after(7))) == [("gap", 7, 105), (105, None)]


def test_a_seed_is_the_newest_event_from_before() -> None:
    """Its own predecessor is unknown; the next event names the seed as its predecessor."""
    channel = Lossless()
    channel.log.seed(1, 40, make_event("trade", "SOL", 40))
    channel.publish(105)
    assert channel.since(39) == [(40, None), (105, 40)]
    assert channel.since(40) == [(105, 40)]
    assert channel.since(0) == [("gap", 0, 40), (40, None), (105, 40)]


# Another stream.


def replaced(*seqs: int, floor: int = 0, last_seq: int | None = 0) -> Lossless:
    """Return a log whose stream was replaced after these events."""
    channel = Lossless(*seqs, kind="funding")
    channel.log.start_again("new", floor=floor, last_seq=last_seq)
    return channel


def test_a_client_of_the_replaced_stream_is_told_of_the_new_one() -> None:
    """By one gap with the new epoch, from its last seq to the first that it can get."""
    channel = replaced(3, 5)
    for had in (0, 3, 5):
        assert channel.after(had) == [("gap", had, 1, "new")]
    channel.publish(2)
    assert channel.after(5) == [("gap", 5, 2, "new"), (2, 0)]


def test_positions_grow_even_if_seqs_start_again() -> None:
    """So a client that has read the new stream is ahead of one that has read the old stream."""
    channel = Lossless(3, 5)
    before = channel.log.head
    channel.log.start_again("new", floor=0, last_seq=0)
    assert channel.log.head > before
    assert channel.log.position_after(0) == channel.log.head


def test_a_client_that_had_read_ahead_misses_nothing_of_the_new_stream() -> None:
    """A seq of the old stream means nothing in the new one."""
    channel = Lossless(3)
    ahead = channel.log.position_after(9)
    channel.log.start_again("new", floor=0, last_seq=0)
    channel.publish(4)
    assert channel.after(ahead) == [("gap", 9, 4, "new"), (4, 0)]


def test_a_client_that_missed_two_replacements_gets_one_gap() -> None:
    """Into the last stream, from its own seq."""
    channel = replaced(3, 5)
    channel.publish(1, 2)
    channel.log.start_again("newest", floor=0, last_seq=0)
    assert channel.after(3) == [("gap", 3, 1, "newest")]


def test_a_new_stream_that_dropped_events_is_known_from_there_on() -> None:
    """No prev of 0 is invented."""
    channel = replaced(3, floor=50, last_seq=None)
    channel.publish(60)
    assert channel.after(3) == [("gap", 3, 60, "new"), (60, None)]
    assert channel.since(50) == [(60, None)]
    assert channel.since(7) == [("gap", 7, 60), (60, None)]


def test_a_new_stream_begins_with_its_newest_event() -> None:
    """If it held events before it was read."""
    channel = replaced(3)
    channel.log.seed(100, 40, make_event("funding", "SOL", 40))
    assert channel.after(3) == [("gap", 3, 40, "new"), (40, None)]


def test_a_client_that_subscribed_just_before_the_replacement_gets_only_the_gap() -> None:
    """The rate of the old stream is no longer valid."""
    channel = Lossless(3, 5, kind="funding")
    here = channel.log.start_position
    channel.log.start_again("new", floor=0, last_seq=0)
    assert channel.after(here) == [("gap", 5, 1, "new")]


def test_a_client_that_subscribes_after_the_replacement_is_not_told_of_it() -> None:
    """Neither by recent events nor by a snapshot."""
    channel = replaced(3, 5)
    assert channel.after(channel.log.start_position) == []
    assert channel.after(channel.log.position_before(5)) == []
    assert channel.log.is_blank


# Questions of a resume.


def test_the_oldest_event_knows_what_was_before_it() -> None:
    """An empty log returns what it knows of the channel."""
    assert Lossless(3, 5, 8, 9).log.first_prev == 3
    assert Lossless().log.first_prev == 0
    assert LosslessLog(channel_of("trade", "SOL"), 3, floor=9, last_seq=None).first_prev is None


@pytest.mark.parametrize(("count", "around"), [(0, (9, 10)), (1, (8, 9)), (2, (5, 8))])
def test_the_last_events_begin_between_two_seqs(count: int, around: tuple[int, int]) -> None:
    """The one before them and the first of them; without any, past the head."""
    assert Lossless(3, 5, 8, 9).log.seqs_around(count) == around


def test_a_log_is_blank_until_it_holds_something() -> None:
    """A blank log can be created again, and need not be kept."""
    channel = Lossless()
    assert channel.log.is_blank
    channel.publish(1)
    assert not channel.log.is_blank
