"""Every kind has the whole contract, and a stream may hold kinds that a gateway does not know."""

from dataclasses import replace

import pytest

from percolator.jetstream.stream import definition
from percolator.model.channel import SUBJECTS
from percolator.model.kinds import LIQUIDATION
from tests.channels import KIND_NAMES, channel_of
from tests.gateway import Gateway, running
from tests.integration.conftest import StartGateway

LOSSLESS = [kind.name for kind in SUBJECTS if kind.lossless]


@pytest.mark.parametrize("kind", KIND_NAMES)
async def test_every_kind_is_shown_as_the_state_of_its_market(gateway: Gateway, kind: str) -> None:
    """Under its own name, with its fields."""
    seq = await gateway.publish(kind, "SOL")
    client = await gateway.client(channel_of(kind, "ETH").name)
    await gateway.publish(kind, "ETH")
    await client.receive()
    market = await gateway.get_json("/markets/SOL")
    assert market[kind]["seq"] == seq


@pytest.mark.parametrize("kind", LOSSLESS)
async def test_every_lossless_kind_resumes_where_a_client_left(gateway: Gateway, kind: str) -> None:
    """Each event once, linked by prev."""
    channel = channel_of(kind, "SOL").name
    seqs = [await gateway.publish(kind, "SOL") for _ in range(5)]
    epoch = gateway.service.book.epoch
    client = await gateway.client()
    await client.subscribed(channel, since=seqs[1], epoch=epoch)
    messages = await client.receive_many(3)
    assert [(one["seq"], one["prev"]) for one in messages] == [
        (seqs[2], seqs[1]),
        (seqs[3], seqs[2]),
        (seqs[4], seqs[3]),
    ]


@pytest.mark.parametrize("kind", LOSSLESS)
async def test_every_lossless_kind_announces_what_is_lost(
    start_gateway: StartGateway, kind: str
) -> None:
    """A client that comes back from another stream gets a gap before what is there."""
    gateway = await start_gateway()
    channel = channel_of(kind, "SOL").name
    seq = await gateway.publish(kind, "SOL")
    client = await gateway.client()
    await client.subscribed(channel, since=7, epoch="another stream")
    gap, event = await client.receive_many(2)
    assert (gap["type"], gap["channel"], gap["from"]) == ("gap", channel, 7)
    assert event["seq"] == seq


async def test_a_stream_without_a_kind_is_served_and_grows_while_it_is_served(
    nats_url: str, stream_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the command; after it the new kind flows, without a restart."""
    async with running(nats_url, stream_name) as other:
        stream = other.nats.jetstream()
        older = [own for kind, own in SUBJECTS.items() if kind is not LIQUIDATION]
        await stream.update_stream(replace(definition(stream_name), subjects=older))
        async with running(nats_url, stream_name) as gateway:
            command = f"nats stream edit {stream_name} --subjects '"
            assert any(command in record.getMessage() for record in caplog.records)
            client = await gateway.client("trades:SOL", "liquidations:SOL")
            seq = await gateway.publish("trade", "SOL")
            assert (await client.receive())["seq"] == seq
            await stream.update_stream(definition(stream_name))
            seq = await gateway.publish("liquidation", "SOL")
            message = await client.receive()
            assert (message["type"], message["seq"]) == ("liquidation", seq)


async def test_events_of_a_kind_that_a_gateway_does_not_know_are_counted(
    nats_url: str, stream_name: str
) -> None:
    """A newer version beside it publishes them; they are no fault, and hide nothing."""
    async with running(nats_url, stream_name) as gateway:
        stream = gateway.nats.jetstream()
        newer = [*SUBJECTS.values(), "percolator.candle.>"]
        await stream.update_stream(replace(definition(stream_name), subjects=newer))
        client = await gateway.client("trades:SOL")
        await gateway.publish_raw("percolator.candle.SOL", b'{"open":1}')
        seq = await gateway.publish("trade", "SOL")
        assert (await client.receive())["seq"] == seq
        stats = await gateway.stats()
        assert (stats["eventsUnknown"], stats["eventsRejected"]) == (1, 0)
