"""Resume: where a program goes on after a reconnect, in another run, and through wildcards."""

import pytest

from percolator.client import Bookmark, Gap, Position, Update, backoff, follow
from percolator.client import Message as Received
from tests.gateway import Gateway, eventually
from tests.integration.client.following import following
from tests.scripted import CONNECTED, Message, Peer, ScriptedGateway, price, scripted, trade

TRADES, ALL, FUNDING = "trades:SOL", "trades:*", "funding:SOL"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect at once."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)


async def asked_again(gateway: ScriptedGateway, hello: Message = CONNECTED) -> Message:
    """Cut the connection, and return the request on the next one."""
    gateway.hello = hello
    number = len(gateway.peers) + 1
    gateway.peers[-1].socket.transport.abort()
    peer = await gateway.subscribed(number)
    return peer.asked("subscribe")[0]


async def test_a_heartbeat_moves_the_place_where_lossless_channels_resume() -> None:
    """Prices have none. An older seq moves nothing."""
    channels = (TRADES, FUNDING, "price:SOL")
    async with scripted() as gateway, following(gateway.url, *channels) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(6), {"type": "heartbeat", "timestamp": 1, "seq": 70})
        await peer.send({"type": "heartbeat", "timestamp": 1, "seq": 9}, price(71))
        await eventually(lambda: len(program.got) == 2)
        positions = dict.fromkeys((TRADES, FUNDING), Position("e", 70))
        assert program.feed.bookmark.positions == positions
        request = await asked_again(gateway)
        assert request["since"] == dict.fromkeys((TRADES, FUNDING), 70)
        assert request["epoch"] == "e"


async def test_a_channel_without_events_resumes_where_the_connection_was() -> None:
    """Also one that was added long after the greeting."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(60))
        await eventually(lambda: program.short == [60])
        program.feed.subscribe("trades:BTC")
        await eventually(lambda: program.names[-2:] == ["connecting", "live"])
        request = await asked_again(gateway)
        assert request["since"] == {TRADES: 60, "trades:BTC": 60}


async def test_a_wildcard_resumes_at_the_highest_seq_of_all_markets() -> None:
    """Each market's duplicates and gaps are found on every connection."""
    async with scripted() as gateway, following(gateway.url, ALL) as program:
        peer = await gateway.subscribed()
        assert peer.requests[0]["channels"] == [ALL]
        await peer.send(trade(7, 3), trade(8, 0, "BTC"), trade(9, 7), trade(9, 7))
        await eventually(lambda: program.short == [7, 8, 9])
        assert program.feed.bookmark.positions == {ALL: Position("e", 9)}
        assert (await asked_again(gateway))["since"] == {ALL: 9}
        await gateway.peers[1].send(trade(9, 7), trade(12, None, "BTC"), trade(14, 11))
        missed = Gap(TRADES, 9, 14, announced=False)
        await eventually(lambda: program.short == [7, 8, 9, 12, missed, 14])
        updates = [each for each in program.got if isinstance(each, Update)]
        assert {each.channel for each in updates} == {TRADES, "trades:BTC"}


async def test_a_gap_of_a_wildcard_is_one_of_each_of_its_markets() -> None:
    """The position moves too; with a new epoch, seqs start again."""
    gap = {"type": "gap", "channel": ALL, "from": 7, "to": 30}
    async with scripted() as gateway, following(gateway.url, ALL) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(7, 3), gap, trade(29, 8), trade(31, 28, "BTC"))
        await eventually(lambda: program.short == [7, Gap(ALL, 7, 30), 31])
        await peer.send(gap | {"from": 31, "to": 1, "epoch": "new"}, trade(2, 0))
        await eventually(lambda: program.short[3:] == [Gap(ALL, 31, 1, "new"), 2])
        request = await asked_again(gateway, CONNECTED | {"epoch": "new"})
        assert (request["since"], request["epoch"]) == ({ALL: 2}, "new")


async def test_a_market_and_its_wildcard_deliver_each_event_once() -> None:
    """Whichever is left, the other goes on."""
    async with scripted() as gateway, following(gateway.url, ALL, TRADES) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(7, 3), trade(8, 0, "BTC"))
        await eventually(lambda: program.short == [7, 8])
        positions = program.feed.bookmark.positions
        assert positions == {ALL: Position("e", 8), TRADES: Position("e", 7)}
        program.feed.unsubscribe(TRADES)
        await peer.send(trade(9, 7))
        await eventually(lambda: program.short == [7, 8, 9])
        program.feed.unsubscribe(ALL)
        program.feed.subscribe(TRADES)
        await eventually(lambda: len(peer.asked("subscribe")) == 2)
        await peer.send(trade(10, 9), trade(11, 0, "BTC"), trade(12, 10))
        await eventually(lambda: program.short == [7, 8, 9, 10, 12])


async def test_a_gap_of_one_market_reaches_those_who_follow_it_through_the_wildcard() -> None:
    """It moves that market alone."""
    gap = {"type": "gap", "channel": TRADES, "from": 7, "to": 30}
    async with scripted() as gateway, following(gateway.url, ALL) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(7, 3), gap, trade(9, 8, "BTC"), trade(31, 29))
        await eventually(lambda: program.short == [7, Gap(TRADES, 7, 30), 9, 31])


async def test_a_bookmark_covers_what_the_program_was_handed_and_nothing_else(
    gateway: Gateway,
) -> None:
    """Two runs with a bookmark between them have each trade once."""
    url = f"ws://127.0.0.1:{gateway.port}"
    seqs = [await gateway.publish("trade", "SOL") for _ in range(10)]
    got: list[Received] = []
    async with follow(url, TRADES, since=0) as feed:
        await eventually(lambda: len(feed._follower._inbox._queue) == 10)
        got += [await anext(feed) for _ in range(4)]
        text = feed.bookmark.to_json()
    assert feed.bookmark.to_json() == text
    seqs += [await gateway.publish("trade", "SOL") for _ in range(3)]
    async with follow(url, TRADES, since=Bookmark.from_json(text)) as feed:
        got += [await anext(feed) for _ in range(9)]
    assert [each.seq for each in got if isinstance(each, Update)] == seqs


async def test_a_stream_that_was_replaced_between_two_runs_is_a_gap(gateway: Gateway) -> None:
    """The bookmark has the epoch; a channel that it does not name starts from now on."""
    seq = await gateway.publish("trade", "SOL")
    await gateway.has_read(seq)
    bookmark = Bookmark({TRADES: Position("another", 70), "trades:ETH": Position("another", 80)})
    url = f"ws://127.0.0.1:{gateway.port}"
    async with following(url, TRADES, "trades:BTC", since=bookmark) as program:
        await eventually(lambda: len(program.got) == 2)
        epoch = gateway.service.hub.book.epoch
        assert program.short == [Gap(TRADES, 70, 1, epoch), seq]
        later = await gateway.publish("trade", "BTC")
        await eventually(lambda: program.short[2:] == [later])


async def test_a_stream_that_was_replaced_without_a_word_is_a_gap() -> None:
    """The greeting has another epoch, and the gateway sends no gap."""
    async with scripted() as gateway, following(gateway.url, TRADES) as program:
        peer = await gateway.subscribed()
        await peer.send(trade(60, 5))
        await eventually(lambda: program.short == [60])
        await asked_again(gateway, CONNECTED | {"epoch": "new"})
        await gateway.peers[1].send(trade(3, 2))
        gap = Gap(TRADES, 60, 3, "new", announced=False)
        await eventually(lambda: program.short == [60, gap, 3])


async def test_a_price_that_was_seen_is_not_repeated_after_a_reconnect() -> None:
    """Unless the stream is another one, whose seqs start again."""
    async with scripted() as gateway, following(gateway.url, "price:*") as program:
        peer = await gateway.subscribed()
        await peer.send(price(7), price(8, "BTC"))
        await eventually(lambda: sorted(map(str, program.short)) == ["7", "8"])
        assert "since" not in await asked_again(gateway)
        await gateway.peers[1].send(price(7, snapshot=True), price(9, "BTC", snapshot=True))
        await eventually(lambda: program.short[2:] == [9])
        await asked_again(gateway, CONNECTED | {"epoch": "new"})
        await gateway.peers[2].send(price(2, snapshot=True))
        await eventually(lambda: program.short[3:] == [2])


async def test_channels_that_have_no_event_yet_are_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A mistyped name would be silence forever."""
    caplog.set_level("INFO", "percolator.client")

    async def answer(peer: Peer, request: Message) -> None:
        await peer.accept(request, unknown=["price:sol"])

    async with scripted(answer=answer) as gateway, following(gateway.url, "price:sol") as program:
        await eventually(lambda: program.state == "live")
    assert "no event yet of price:sol: are the names right?" in caplog.text
