"""The gateway's limits: requests are paced and sized by what its greeting says."""

import asyncio

import pytest

from tests.gateway import eventually
from tests.integration.client.following import following
from tests.integration.conftest import StartGateway
from tests.scripted import CONNECTED, NO_LIMITS, Message, Peer, scripted

NAMES = [f"trades:{number:044}" for number in range(60)]


def greeting(**limits: float) -> Message:
    """Return a greeting with limits; those that are not named are off."""
    return CONNECTED | {"limits": NO_LIMITS | limits}


def assert_within(peer: Peer, rate: float, burst: int) -> None:
    """A token bucket with this rate and burst would have let all requests through."""
    tokens, before = float(burst), peer.times[0]
    for time in peer.times:
        tokens = min(burst, tokens + (time - before) * rate) - 1
        before = time
        assert tokens >= 0, peer.times


@pytest.mark.parametrize(("size", "rate", "burst"), [(300, 100, 5), (512, 60, 1), (4_096, 2.5, 20)])
async def test_requests_keep_to_the_limits_of_the_greeting(
    size: int, rate: float, burst: int
) -> None:
    """Bytes per message, messages per second and burst."""
    hello = greeting(messageBytes=size, messagesPerSecond=rate, messageBurst=burst, channels=1_000)
    async with scripted(hello=hello) as gateway, following(gateway.url, *NAMES) as program:
        await eventually(lambda: program.state == "live")
        (peer,) = gateway.peers
        assert max(peer.sizes) <= size
        assert_within(peer, rate, burst)
        asked = [name for each in peer.asked("subscribe") for name in each["channels"]]
        assert asked == NAMES


async def test_the_limits_of_each_gateway_count() -> None:
    """The next one may have others: without any, all is sent at once."""
    async with scripted(hello=greeting()) as gateway, following(gateway.url, *NAMES) as program:
        await eventually(lambda: program.state == "live")
        assert [len(each["channels"]) for each in gateway.peers[0].requests] == [50, 10]
        gateway.hello = greeting(messageBytes=512)
        await gateway.peers[0].socket.close()
        await eventually(lambda: program.names.count("live") == 2)
        assert max(gateway.peers[1].sizes) <= 512


async def test_1000_channels_of_an_older_gateway_take_one_connection(
    start_gateway: StartGateway,
) -> None:
    """It says nothing of its limits, and closes a client that sends too much at once."""
    gateway = await start_gateway(
        max_channels_per_client=0, messages_per_second=10, message_burst=20
    )
    names = [f"{kind}:{n:044}" for n in range(500) for kind in ("price", "trades")]
    async with following(f"ws://127.0.0.1:{gateway.port}", *names) as program:
        await eventually(lambda: program.state == "live")
        assert program.names == ["connecting", "live"]
        assert program.got == []
        seq = await gateway.publish("trade", f"{499:044}")
        await eventually(lambda: program.short == [seq])


async def test_a_program_that_changes_its_channels_all_the_time_is_paced() -> None:
    """Requests are made when they may be sent, so what is no longer wanted is never asked for."""
    hello = greeting(messagesPerSecond=50, messageBurst=2)
    async with scripted(hello=hello) as gateway, following(gateway.url) as program:
        peer = await gateway.peer()
        await eventually(lambda: program.state == "live")
        for name in NAMES:
            program.feed.subscribe(name)
            await asyncio.sleep(0)
            program.feed.unsubscribe(name)
        program.feed.subscribe("price:SOL")
        await eventually(lambda: any(each["channels"] == ["price:SOL"] for each in peer.requests))
        assert_within(peer, 50, 2)
        assert len(peer.requests) < 10
