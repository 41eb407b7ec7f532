"""The log of a price channel: only the newest price, and when it becomes visible."""

from percolator.fanout.followers import Cursor
from percolator.fanout.latest_log import LatestLog, Windows
from percolator.fanout.log import Position
from percolator.fanout.logs_of_all import LatestOfAll
from tests.channels import channel_of
from tests.unit.fanout.harness import Writer
from tests.unit.fanout.reference import make_event
from tests.unit.wire import message

Said = tuple[object, ...]


class Latest:
    """The log of a price channel."""

    def __init__(self) -> None:
        self.log = LatestLog(
            channel_of("price", "SOL"),
            Windows(0.5, lambda: 0.0),
            LatestOfAll(channel_of("price", "*")),
        )
        self.log.followers[Cursor(Writer(lambda _: None))] = None
        self.log.windowed = True

    def publish(self, seq: int) -> None:
        """Publish a price that is not shown yet."""
        self.log.append(seq, seq, make_event("price", "SOL", seq))

    def after(self, position: Position) -> list[Said]:
        """Return the seqs that follow a position, and whether each is a snapshot."""
        outgoing = list(self.log.after(position))
        assert all(outgoing.position == self.log.head for outgoing in outgoing)
        told = [message(outgoing.frame) for outgoing in outgoing]
        return [(one["seq"], *(["snapshot"] if one.get("snapshot") else [])) for one in told]


def test_a_price_is_visible_once_it_is_shown() -> None:
    """Until then clients get the previous one; the state of the market has the new one already."""
    prices = Latest()
    prices.publish(1)
    assert prices.after(prices.log.start_position) == []
    assert prices.log.show(1)
    prices.publish(2)
    assert prices.after(prices.log.start_position) == [(1, "snapshot")]
    assert prices.log.latest is not None
    assert prices.log.latest.seq == 2


def test_a_price_is_shown_once() -> None:
    """Showing it again changes nothing."""
    prices = Latest()
    assert not prices.log.show(0)
    prices.publish(1)
    assert [prices.log.show(1), prices.log.show(1)] == [True, False]


def test_only_the_newest_price_follows_a_position() -> None:
    """However many have been missed."""
    prices = Latest()
    for seq in (1, 2, 3):
        had = prices.log.head
        prices.publish(seq)
        prices.log.show(seq)
        assert prices.after(had) == [(seq,)]
    assert prices.after(0) == [(3,)]
    assert prices.after(prices.log.head) == []


def test_a_price_is_ordered_by_the_time_it_was_shown() -> None:
    """Not by the time it arrived."""
    prices = Latest()
    prices.publish(1)
    prices.log.show(7)
    assert [outgoing.order for outgoing in prices.log.after(0)] == [7]


def test_a_seeded_price_is_shown_at_once() -> None:
    """It is the state at the start."""
    prices = Latest()
    prices.log.seed(1, 40, make_event("price", "SOL", 40))
    assert prices.after(prices.log.start_position) == [(40, "snapshot")]


def test_a_price_of_a_replaced_stream_is_dropped() -> None:
    """The next one goes out to every client, whatever its seq."""
    prices = Latest()
    assert prices.log.is_blank
    prices.publish(40)
    prices.log.show(1)
    had = prices.log.head
    prices.log.start_again("new", floor=0, last_seq=0)
    assert prices.log.is_blank
    assert prices.after(had) == prices.after(prices.log.start_position) == []
    prices.publish(1)
    prices.log.show(2)
    assert prices.after(had) == [(1,)]
