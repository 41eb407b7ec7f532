"""A channel: which events are new, which are missing, and where it resumes."""

import json

import pytest

from percolator.client import channel as module
from percolator.client.bookmark import Position
from percolator.client.channel import Channel, kind_of
from percolator.client.messages import Gap
from percolator.errors import MessageError, RequestError
from percolator.model.kinds import TRADE
from percolator.model.server_messages import Missing, read
from tests.unit.client.arrivals import price, seqs, trade

SOL, ALL = "trades:SOL", "trades:*"


def live(name: str = SOL, seq: int = 5, start: Position | None = None) -> Channel:
    """Return a channel that the gateway has accepted, in the epoch `e`."""
    channel = Channel(name, start=start)
    channel.subscribed(seq, seq, "e")
    return channel


def missing(name: str, after: int, before: int) -> Missing:
    """Return a gap as a gateway sends it."""
    text = json.dumps({"type": "gap", "channel": name, "from": after, "to": before})
    found = read(text)
    assert isinstance(found, Missing)
    return found


@pytest.mark.parametrize("name", ["trades:SOL", "trades:*", "trades:" + "x" * 64])
def test_a_channel_has_a_kind(name: str) -> None:
    """A wildcard too."""
    assert kind_of(name) is TRADE


@pytest.mark.parametrize("name", ["trades", "trades:", "trade:SOL", "trades:a b", "trades:**", ""])
def test_a_name_that_is_not_valid_has_none(name: str) -> None:
    """The error is one sentence, and can be shown."""
    with pytest.raises(RequestError) as raised:
        kind_of(name)
    assert raised.value.code == "invalid_channel"


def test_duplicates_are_dropped_and_missing_events_are_a_gap() -> None:
    """Before the first event, nothing can be missing."""
    channel = live()
    assert seqs(channel.accept(trade(7, 3), "e")) == [7]
    assert channel.accept(trade(7, 3), "e") == []
    assert seqs(channel.accept(trade(9, 7), "e")) == [9]
    assert seqs(channel.accept(trade(12, 11), "e")) == [Gap(SOL, 9, 12, announced=False), 12]
    assert channel.position == Position("e", 12)


def test_a_channel_resumes_where_it_stopped() -> None:
    """Before its first event, where it was accepted; then at its last event or gap."""
    channel = Channel(SOL)
    assert channel.seq is None
    channel.subscribed(5, 5, "e")
    assert channel.position == Position("e", 5)
    channel.accept(trade(3), "e")  # one of its recent ones
    assert channel.position == Position("e", 3)
    channel.skip(missing(SOL, 3, 9), "e")
    assert channel.position == Position("e", 8)
    channel.disconnected()
    channel.subscribed(20, 20, "e")
    assert channel.position == Position("e", 8)
    assert seqs(channel.accept(trade(8, 3), "e")) == []
    assert seqs(channel.accept(trade(9, 8), "e")) == [9]


def test_a_replaced_stream_is_a_gap_also_if_the_gateway_sends_none() -> None:
    """Its seqs are not those of the old one."""
    channel = live(start=Position("old", 70))
    assert seqs(channel.accept(trade(2, 1), "e")) == [Gap(SOL, 70, 2, "e", announced=False), 2]
    assert channel.position == Position("e", 2)


def test_an_announced_gap_with_another_epoch_starts_the_seqs_again() -> None:
    """Then the first event may have any seq after it."""
    channel = live(start=Position("old", 70))
    channel.skip(missing(SOL, 70, 1), "e")
    assert channel.position == Position("e", 0)
    assert seqs(channel.accept(trade(1, 0), "e")) == [1]


def test_a_seq_without_epoch_that_is_ahead_of_the_stream_is_a_gap() -> None:
    """It can only be of another stream, and hides no event."""
    channel = Channel(SOL, start=Position(None, 70))
    assert channel.subscribed(5, 5, "e") == Gap(SOL, 70, 6, "e", announced=False)
    assert channel.position == Position("e", 5)
    assert seqs(channel.accept(trade(3), "e")) == [3]
    within = Channel(SOL, start=Position(None, 4))
    assert within.subscribed(5, 5, "e") is None
    assert within.position == Position("e", 4)


def test_a_heartbeat_moves_the_position_of_a_lossless_channel() -> None:
    """Never back, and never in another epoch."""
    channel = live()
    channel.settle(9, "e")
    assert channel.position == Position("e", 9)
    channel.settle(7, "e")
    channel.settle(70, "other")
    assert channel.position == Position("e", 9)
    assert seqs(channel.accept(trade(11, 4), "e")) == [11]
    prices = live("price:SOL")
    prices.settle(9, "e")
    assert prices.position is None


def test_a_price_is_new_if_its_seq_is_or_if_the_stream_started_again() -> None:
    """A reconnect repeats it; an older seq on the same connection is the only sign of a restart."""
    channel = live("price:SOL")
    assert seqs(channel.accept(price(7), "e")) == [7]
    channel.disconnected()
    channel.subscribed(9, 9, "e")
    assert channel.accept(price(7), "e") == []
    assert seqs(channel.accept(price(8), "e")) == [8]
    assert seqs(channel.accept(price(2), "e")) == [2]
    assert seqs(channel.accept(price(1), "new")) == [1]
    assert channel.position is None


def test_a_wildcard_resumes_all_markets_at_the_highest_seq() -> None:
    """What it knows of each market ends with the connection."""
    channel = live(ALL)
    for delivery in (trade(3, 1), trade(9, 4, "BTC"), trade(8, 3)):
        assert len(channel.accept(delivery, "e")) == 1
    assert channel.position == Position("e", 9)
    channel.disconnected()
    channel.subscribed(20, 20, "e")
    assert channel.accept(trade(8, 3), "e") == []
    assert seqs(channel.accept(trade(10, 8), "e")) == [10]
    missed = Gap("trades:BTC", 9, 14, announced=False)
    assert seqs(channel.accept(trade(14, 12, "BTC"), "e")) == [missed, 14]
    assert seqs(channel.accept(trade(15, None, "NEW"), "e")) == [15]


def test_a_gap_of_a_wildcard_is_one_of_each_market() -> None:
    """Markets that are further on stay there."""
    channel = live(ALL)
    for delivery in (trade(6, 1), trade(30, 2, "BTC")):
        channel.accept(delivery, "e")
    channel.skip(missing(ALL, 6, 20), "e")
    assert channel.position == Position("e", 30)
    channel.skip(missing(ALL, 30, 41), "e")
    assert channel.position == Position("e", 40)
    assert channel.accept(trade(40, 39), "e") == []
    assert seqs(channel.accept(trade(41, 39), "e")) == [41]


def test_a_gap_of_one_market_leaves_the_others_alone() -> None:
    """Also if it is the first sign of a new stream."""
    channel = live(ALL)
    channel.accept(trade(6, 1), "e")
    channel.skip(missing(SOL, 6, 20), "e")
    assert channel.accept(trade(19, 18), "e") == []
    assert seqs(channel.accept(trade(7, 2, "BTC"), "e")) == [7]
    channel.skip(missing(SOL, 20, 3), "new")
    assert channel.position == Position("new", 0)
    assert seqs(channel.accept(trade(1, 0, "BTC"), "new")) == [1]
    assert seqs(channel.accept(trade(3, 2), "new")) == [3]


def test_a_gateway_cannot_make_a_wildcard_remember_any_number_of_markets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(module, "MAX_MARKETS", 3)
    channel = live("price:*")
    for seq in (1, 2, 3):
        channel.accept(price(seq, f"S{seq}"), "e")
    with pytest.raises(MessageError, match="too many markets"):
        channel.accept(price(4, "S4"), "e")
    lossless, restarting = live(ALL), live("price:*")
    for slab in "ABC":
        lossless.skip(missing(f"trades:{slab}", 5, 9), "e")
        restarting.accept(price(9, slab), "e")
        restarting.accept(price(8, slab), "e")
    with pytest.raises(MessageError, match="too many markets"):
        lossless.skip(missing("trades:D", 5, 9), "e")
    with pytest.raises(MessageError, match="too many markets"):
        restarting.accept(price(9, "D"), "e")
