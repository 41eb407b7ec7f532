"""The inbox: what waits for a program that is slow."""

import pytest

from percolator.client import inbox as module
from percolator.client.bookmark import Position
from percolator.client.channels import Arrival
from percolator.client.inbox import Inbox
from percolator.client.messages import Gap, Message, Refused, Update
from tests.unit.client.arrivals import arrival, gap, price, trade

SOL, BTC, ALL = "trades:SOL", "trades:BTC", "trades:*"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep four messages, and not 10,000."""
    monkeypatch.setattr(module, "LENGTH", 4)


def filled(*arrivals: Arrival) -> Inbox:
    """Return an inbox with messages."""
    inbox = Inbox()
    for each in arrivals:
        inbox.put(each)
    return inbox


def drained(inbox: Inbox) -> list[int | Message]:
    """Empty it: seqs of events, and other messages as they are."""
    found: list[int | Message] = []
    while (message := inbox.take()) is not None:
        found.append(message.seq if isinstance(message, Update) else message)
    return found


def test_a_price_that_is_handed_over_is_never_older_than_the_newest_received() -> None:
    """There is one slot per market."""
    inbox = filled(*(arrival(price(seq)) for seq in range(1, 100)), arrival(price(50, "BTC")))
    assert drained(inbox) == [99, 50]


def test_prices_and_trades_take_turns() -> None:
    """Neither waits for all of the other."""
    prices = [arrival(price(seq, f"S{seq}")) for seq in (11, 12, 13)]
    assert drained(filled(*(arrival(trade(seq)) for seq in (1, 2)), *prices)) == [11, 1, 12, 2, 13]


def test_a_full_queue_becomes_one_gap_per_channel_that_covers_what_was_dropped() -> None:
    """The seqs are exact: after the event before the first one, before what comes next."""
    events = [trade(5, 3), trade(6, 4, "BTC"), trade(7, 5), trade(9, 7)]
    inbox = filled(*map(arrival, [*events, trade(12, 9)]))
    assert drained(inbox) == [Gap(SOL, 3, 10), Gap(BTC, 4, 7), 12]


def test_a_full_queue_grows_its_gaps() -> None:
    """A program that takes nothing keeps a gap, however much it misses."""
    inbox = filled(*(arrival(trade(seq, seq - 1)) for seq in range(1, 1_001)))
    found = drained(inbox)
    assert len(found) <= 4
    assert isinstance(found[0], Gap)
    assert (found[0].after, found[0].before) == (0, found[1])
    assert found[1:] == [*range(found[0].before, 1_001)]


def test_gaps_are_joined_with_what_is_dropped() -> None:
    """Those of the gateway, too; behind a new epoch, seqs start again."""
    inbox = filled(
        arrival(trade(5, 4)),
        gap(SOL, 5, 9),
        gap(SOL, 9, 1, "new"),
        arrival(trade(2, 0)),
        arrival(trade(3, 2)),
    )
    assert drained(inbox) == [Gap(SOL, 4, 3, "new"), 3]


def test_markets_of_a_wildcard_become_one_gap() -> None:
    """Otherwise as many gaps as there are markets would fill the queue again."""
    events = [arrival(trade(seq, 0, f"S{seq}"), ALL) for seq in range(10, 15)]
    assert drained(filled(*events)) == [Gap(ALL, 9, 14), 14]


def test_an_event_without_a_prev_is_covered_by_its_own_seq() -> None:
    """Nothing is known of what was before it."""
    inbox = filled(*(arrival(trade(seq)) for seq in range(10, 15)))
    assert drained(inbox) == [Gap(SOL, 9, 14), 14]


def test_a_refusal_waits_in_a_slot_of_its_own() -> None:
    """The latest of each channel."""
    inbox = filled(
        *(Arrival(Refused("price:SOL", code, ""), {"price:SOL": None}) for code in "ab"),
        arrival(price(7)),
    )
    assert drained(inbox) == [Refused("price:SOL", "b", ""), 7]


def test_what_waits_of_a_channel_that_was_left_is_dropped() -> None:
    """Unless another channel that is followed gets it."""
    inbox = filled(arrival(trade(1), SOL, ALL), arrival(trade(2, 1, "BTC"), BTC), arrival(price(3)))
    inbox.discard({ALL})
    assert drained(inbox) == [1]


def test_the_positions_are_those_before_the_oldest_message_that_waits() -> None:
    """Also after it has become a gap."""
    inbox = filled(*(arrival(trade(seq, seq - 1)) for seq in range(5, 12)))
    assert inbox.positions() == {SOL: Position("e", 4)}
    inbox.take()
    taken = inbox.positions()[SOL]
    assert taken is not None
    assert taken.seq > 4
    drained(inbox)
    assert inbox.positions() == {}
