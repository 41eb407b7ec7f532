"""Fields that no kind has: from a publisher to every client, unchanged."""

import json

from percolator.client import Update, follow
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway

OWN = '"type":"trade","slab":"SOL","side":"long","size":"5","price":1.5,"timestamp":1234567890123'
EXTRAS = (
    '"id":"5Kd9:SOL:0","trader":"<b>9xQe</b>","fee":0.1234567890123456789012345678,'
    '"slot":18446744073709551615,"maker":true,"memo":null'
)
PAYLOAD = f'{{{OWN},"seq":9,"snapshot":true,"legs":[1],"more":{{"id":2}},{EXTRAS}}}'.encode()
SUBJECT = "percolator.trade.SOL"


async def test_a_client_gets_the_fields_that_a_publisher_added_digit_by_digit(
    gateway: Gateway,
) -> None:
    """After all of ours, none of which can be replaced."""
    client = await gateway.client("trades:SOL")
    seq = await gateway.publish_raw(SUBJECT, PAYLOAD)
    message = await client.receive()
    assert client.texts[-1].decode() == f'{{{OWN},"seq":{seq},"prev":0,{EXTRAS}}}'
    assert (message["seq"], "snapshot" in message) == (seq, False)
    assert (await gateway.stats())["eventsRejected"] == 0


async def test_a_replay_has_the_same_bytes(start_gateway: StartGateway) -> None:
    """The log holds one event; the others come from the stream."""
    gateway = await start_gateway(log_capacity=1)
    live = await gateway.client("trades:SOL")
    for _ in range(3):
        await gateway.publish_raw(SUBJECT, PAYLOAD)
    await live.receive_many(3)
    late = await gateway.client()
    await late.subscribed("trades:SOL", since=0)
    await late.receive_many(3)
    assert late.texts[-3:] == live.texts[-3:]


async def test_the_markets_show_them_too(gateway: Gateway) -> None:
    """On both pages."""
    await gateway.has_read(await gateway.publish_raw(SUBJECT, PAYLOAD))
    trade = (await gateway.get_json("/markets/SOL"))["trade"]
    assert trade.items() >= json.loads(f"{{{EXTRAS}}}").items()
    assert (await gateway.get_json("/markets"))["markets"]["SOL"]["trade"] == trade


async def test_the_python_client_has_them_by_name(gateway: Gateway) -> None:
    """Integers in full, whatever their size."""
    await gateway.publish_raw(SUBJECT, PAYLOAD)
    async with follow(f"ws://127.0.0.1:{gateway.port}", ["trades:SOL"], since=0) as feed:
        async for message in feed:
            assert isinstance(message, Update)
            assert message.event.extra == json.loads(f"{{{EXTRAS}}}")
            break
