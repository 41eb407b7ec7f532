"""The client and a real gateway: limits, heartbeats, wildcards, a stale feed, an unneeded token."""

import asyncio
from pathlib import Path

import pytest

from percolator.client import Gap, Update, backoff
from tests.gateway import Gateway, eventually, running
from tests.integration.client.following import following
from tests.integration.conftest import StartGateway
from tests.nats_server import NatsServer

TRADES, ALL = "trades:SOL", "trades:*"


def url(gateway: Gateway) -> str:
    """Return a gateway's address."""
    return f"ws://127.0.0.1:{gateway.port}"


async def test_lowered_limits_are_learnt_from_the_greeting(start_gateway: StartGateway) -> None:
    """One connection brings all channels; what was written into the client would be closed."""
    gateway = await start_gateway(
        max_message_bytes=300, messages_per_second=100, message_burst=2, max_channels_per_client=60
    )
    names = [f"trades:{number:044}" for number in range(60)]
    async with following(url(gateway), *names) as program:
        await eventually(lambda: program.state == "live")
        seq = await gateway.publish("trade", f"{59:044}")
        await eventually(lambda: program.short == [seq])
        assert program.names == ["connecting", "live"]


async def test_a_heartbeat_moves_the_bookmark_of_a_quiet_market(
    start_gateway: StartGateway,
) -> None:
    """Another market goes on; nothing between is replayed later."""
    gateway = await start_gateway(heartbeat_interval=0.05)
    async with following(url(gateway), TRADES) as program:
        await eventually(lambda: program.state == "live")
        seq = await gateway.publish("trade", "BTC")
        await gateway.has_read(seq)

        def at() -> int:
            return program.feed.bookmark.positions[TRADES].seq

        await eventually(lambda: at() == seq)
        assert program.got == []


async def test_a_wildcard_brings_every_market_once_also_those_to_come(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a reconnect, and beside a market of its own."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.01)
    seqs = [await gateway.publish("trade", slab) for slab in "ABAB"]
    async with following(url(gateway), ALL, "trades:A", since=0) as program:
        await eventually(lambda: sorted(map(str, program.short)) == sorted(map(str, seqs)))
        seqs += [await gateway.publish("trade", slab) for slab in "ACD"]
        await eventually(lambda: len(program.got) == len(seqs))
        (connection,) = gateway.service.gateway.connections
        connection.terminate()
        seqs += [await gateway.publish("trade", slab) for slab in "DAEB"]
        await eventually(lambda: len(program.got) == len(seqs))
        updates = [each for each in program.got if isinstance(each, Update)]
        assert sorted(each.seq for each in updates) == seqs
        for slab in "ABCDE":
            mine = [each.seq for each in updates if each.channel == f"trades:{slab}"]
            assert mine == sorted(mine)
        await eventually(lambda: program.names.count("live") == 2)


async def test_a_wildcard_of_a_replaced_stream_is_a_gap_and_all_that_the_new_one_has(
    gateway: Gateway,
) -> None:
    """Resumed by an epoch that the gateway does not know."""
    seqs = [await gateway.publish("trade", slab) for slab in "AB"]
    await gateway.has_read(seqs[-1])
    async with following(url(gateway), ALL, since=70, epoch="another") as program:
        await eventually(lambda: len(program.got) >= 3)
        gap, *events = program.got
        assert isinstance(gap, Gap)
        assert (gap.after, gap.epoch) == (70, gateway.service.hub.book.epoch)
        assert [each.seq for each in events if isinstance(each, Update)] == seqs


async def test_a_gateway_that_requires_no_token_takes_one(gateway: Gateway) -> None:
    """It answers with `auth_disabled`, which is fine."""
    async with following(url(gateway), TRADES, token="t") as program:
        await eventually(lambda: program.state == "live")
        assert program.got == []


async def test_a_program_is_told_when_nats_stops_and_when_it_is_back(tmp_path: Path) -> None:
    """The connection lives on."""
    with NatsServer(tmp_path) as server:
        async with (
            running(server.url, "PERCOLATOR") as gateway,
            following(url(gateway), TRADES) as program,
        ):
            await eventually(lambda: program.state == "live")
            await asyncio.to_thread(server.freeze)
            await eventually(lambda: program.state == "stale")
            assert program.states[-1].reason == "the gateway no longer hears from NATS"
            await asyncio.to_thread(server.thaw)
            await eventually(lambda: program.state == "live")
            seq = await gateway.publish("trade", "SOL")
            await eventually(lambda: program.short == [seq])
            assert program.names.count("connecting") == 1
