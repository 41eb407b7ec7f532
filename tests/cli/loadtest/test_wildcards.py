"""The account of clients that follow all markets: each market is checked by itself."""

import pytest

from percolator.errors import MessageError
from percolator.model import messages
from percolator_cli.loadtest import reader
from percolator_cli.loadtest.account import Account, Accountant, expect
from percolator_cli.loadtest.reference import Reference
from tests.channels import channel
from tests.cli.loadtest.stream import Client, Market, reference
from tests.hostile import text


def everything() -> tuple[Market, Market, list[bytes], Reference]:
    """Return two markets of one stream, six trades of them in turn, and a reference of all."""
    one, other = Market("loadtest-1"), Market("loadtest-2")
    frames = []
    for _ in range(3):
        for market, before in ((one, other), (other, one)):
            market.seq = before.seq
            frames.append(market.event("trade"))
    return one, other, frames, reference(slab="*")


def settle(markets: tuple[Market, ...], shared: Reference, client: Client) -> Account:
    """Return a client's account of the events that these markets have published."""
    published = {channel: seqs for each in markets for channel, seqs in each.published.items()}
    return Accountant(expect(published, shared), shared).settle(client.reader, to_the_end=True)


@pytest.mark.parametrize("chunk", [None, 1, 100])
def test_a_client_of_all_markets_has_a_chain_per_market(chunk: int | None) -> None:
    """Each `prev` is of the same market, not of the event before."""
    one, other, frames, shared = everything()
    whole, harmed = Client(shared), Client(shared)
    whole.feed(*frames, chunk=chunk)
    harmed.feed(frames[0], frames[1], frames[4], frames[5], frames[5], chunk=chunk)
    assert settle((one, other), shared, whole) == Account()
    assert settle((one, other), shared, harmed) == Account(lost=2, duplicated=1)


def test_a_wrong_prev_of_one_market_is_found_among_the_others() -> None:
    """It names none, although the market has an event before."""
    one, other, frames, shared = everything()
    client = Client(shared)
    client.feed(*frames[:2], frames[2].replace(b'"prev":1', b'"prev":0'), *frames[3:])
    assert settle((one, other), shared, client) == Account(wrong_prev=1)


def test_a_gap_of_all_markets_is_a_gap_of_each() -> None:
    """What is lost within it was announced."""
    one, other, frames, shared = everything()
    Client(shared).feed(*frames)
    client = Client(shared)
    client.feed(frames[0], messages.gap(channel("trades:*"), 1, 5), *frames[4:])
    assert settle((one, other), shared, client) == Account(lost=3, announced=3, gaps=1)
    client = Client(shared)
    client.feed(frames[0], messages.gap(channel("trades:loadtest-2"), 1, 5), *frames[4:])
    assert settle((one, other), shared, client) == Account(lost=3, announced=2, gaps=1)


def test_prices_of_markets_come_in_any_order_among_each_other() -> None:
    """One that waited for the end of its interval comes after newer ones of others."""
    one, other = Market("loadtest-1"), Market("loadtest-2", seq=10)
    shared = reference(slab="*")
    client = Client(shared)
    prices = [one.event("price"), other.event("price"), one.event("price"), other.event("price")]
    client.feed(prices[1], prices[0], prices[3], prices[2])
    assert settle((one, other), shared, client) == Account()


def test_the_last_price_of_another_publisher_may_have_come_as_a_snapshot() -> None:
    """The client does not lack it. Trades of others are checked, as far as they are known."""
    one, other, frames, shared = everything()
    early, late = Client(shared), Client(shared)
    price = other.event("price")
    early.feed(*frames, price)
    late.feed(*frames[:3], frames[4], frames[5])
    assert settle((one,), shared, early) == Account()
    assert settle((one,), shared, late) == Account(lost=1)


def test_a_replay_that_does_not_know_a_prev_has_not_altered_the_message() -> None:
    """The first event of each market in it may have null; another difference counts."""
    one, other, frames, shared = everything()
    trade = frames[2].replace(b'"prev":1', b'"prev":null')
    trade = text(trade[2:].decode())
    for order in (frames, [*frames[:2], trade, *frames[3:]]):
        shared = reference(slab="*")
        clients = [Client(shared), Client(shared)]
        clients[0].feed(*order)
        clients[1].feed(*frames[:2], trade, *frames[3:])
        for client in clients:
            assert settle((one, other), shared, client) == Account()
    client = Client(shared)
    client.feed(*frames[:2], trade.replace(b"long", b"shrt"), *frames[3:])
    assert settle((one, other), shared, client) == Account(altered=1)


def test_an_event_of_a_market_that_a_client_does_not_follow_is_refused() -> None:
    """Its connection ends with a sentence."""
    with pytest.raises(MessageError, match="trades:loadtest-y, which it does not follow"):
        Client(reference()).feed(Market("loadtest-y").event("trade"))


def test_endless_gaps_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """So their list does not grow without bound."""
    monkeypatch.setattr(reader, "MAX_GAPS", 3)
    client = Client(reference())
    gap = messages.gap(channel("trades:loadtest-x"), 1, 5)
    client.feed(gap, gap, gap)
    with pytest.raises(MessageError, match="more than 3 gaps"):
        client.feed(gap)
    assert len(client.reader.gaps) == 3
    with pytest.raises(MessageError, match="a gap of no channel"):
        Client(reference()).feed(gap.replace(b"trades", b"treads"))


def test_heartbeats_and_the_feeds_state_are_no_events() -> None:
    """They may come between any two events; the client gets them as what they are."""
    one, other, frames, shared = everything()
    clients = [Client(shared), Client(shared)]
    between = (messages.heartbeat(5, 7), messages.feed(5, 7), messages.feed(None, 7))
    for client in clients:
        client.feed(frames[0], *between, *frames[1:], chunk=11)
        assert [type(each).__name__ for each in client.messages] == [
            *("Heartbeat", "FeedChange", "FeedChange")
        ]
        assert settle((one, other), shared, client) == Account()
