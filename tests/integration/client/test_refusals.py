"""Refusals: which are raised, which are messages, and when a channel is asked again."""

import pytest

from percolator.client import Refused, backoff, channels, follow
from percolator.errors import GatewayUnreachableError, RequestError
from tests.balancer import Balancer
from tests.client import Client
from tests.gateway import eventually
from tests.hostile import hostile_gateway, page
from tests.integration.client.following import following
from tests.integration.conftest import StartGateway
from tests.scripted import Answer, Message, Peer, scripted, trade

TRADES, OTHER = "trades:SOL", "trades:BTC"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(channels, "FIRST_RETRY", 0.001)
    monkeypatch.setattr(channels, "LAST_RETRY", 0.01)


def refusing(channel: str, code: str, times: int = 1_000_000) -> Answer:
    """Return answers that refuse one channel a number of times, and accept all others."""
    left = times

    async def answer(peer: Peer, request: Message) -> None:
        nonlocal left
        names = request.get("channels", [])
        if request["type"] != "subscribe" or channel not in names or not left:
            await peer.accept(request)
            return
        left -= 1
        await peer.refuse(request, code, channel)
        rest = [name for name in names if name != channel]
        if rest:
            await peer.accept(request | {"channels": rest})

    return answer


async def test_a_full_market_is_a_message_and_asked_again_until_there_is_room() -> None:
    """The program is told once; meanwhile its other channel goes on, and the state is not live."""
    answer = refusing(OTHER, "slab_limit", times=5)
    async with (
        scripted(answer=answer) as gateway,
        following(gateway.url, TRADES, OTHER) as program,
    ):
        peer = await gateway.peer()
        await eventually(lambda: len(program.got) == 1)
        assert program.short == [(OTHER, "slab_limit")]
        await eventually(lambda: program.state == "live")
        assert [each["channels"] for each in peer.asked("subscribe")[1:]] == [[OTHER]] * 5
        await peer.send(trade(6), trade(7, slab="BTC"))
        await eventually(lambda: program.short[1:] == [6, 7])
        assert len(gateway.peers) == 1
    assert program.names == ["connecting", "connecting", "live", "closed"]
    assert program.states[1].reason == f"{OTHER} is refused: slab_limit"


async def test_a_market_of_a_real_gateway_is_followed_once_it_has_room(
    start_gateway: StartGateway,
) -> None:
    """The place of another client becomes free."""
    gateway = await start_gateway(max_connections_per_slab=1)
    other: Client = await gateway.client(OTHER)
    async with following(f"ws://127.0.0.1:{gateway.port}", TRADES, OTHER) as program:
        await eventually(lambda: program.short == [(OTHER, "slab_limit")])
        other.abort()
        await eventually(lambda: program.state == "live")
        seq = await gateway.publish("trade", "BTC")
        await eventually(lambda: program.short[1:] == [seq])


@pytest.mark.parametrize("code", sorted(channels.HOPELESS))
async def test_a_refusal_for_good_is_raised(code: str) -> None:
    """Of a channel that was given to `follow`. What came before it is delivered."""
    async with scripted(answer=refusing(OTHER, code)) as gateway:
        feed = follow(gateway.url, [TRADES, OTHER])
        with pytest.raises(RequestError) as raised:
            await anext(feed)
        assert (raised.value.code, raised.value.channel) == (code, OTHER)
        with pytest.raises(StopAsyncIteration):
            await anext(feed)
        assert (feed.state.name, feed.state.reason) == ("closed", f"no: {code}")
        peer = await gateway.peer()
        await eventually(lambda: peer.close_code == 1000)


@pytest.mark.parametrize("code", ["invalid_message", "channel_limit", "unknown_type"])
async def test_a_refusal_of_a_whole_request_is_raised(code: str) -> None:
    """It names no channel."""

    async def answer(peer: Peer, request: Message) -> None:
        await peer.refuse(request, code)

    async with scripted(answer=answer) as gateway, follow(gateway.url, TRADES) as feed:
        with pytest.raises(RequestError, match=f"no: {code}"):
            await anext(feed)


async def test_a_refusal_of_a_channel_that_was_added_is_a_message() -> None:
    """It must not end the channels that were there before."""
    async with (
        scripted(answer=refusing(OTHER, "channel_limit")) as gateway,
        following(gateway.url, TRADES) as program,
    ):
        peer = await gateway.subscribed()
        program.feed.subscribe(OTHER)
        await eventually(lambda: program.short == [(OTHER, "channel_limit")])
        await eventually(lambda: len(peer.asked("subscribe")) > 3)
        await peer.send(trade(6))
        await eventually(lambda: program.short[1:] == [6])
        program.feed.unsubscribe(OTHER)
        await eventually(lambda: program.state == "live")


def refusing_twelve_at_first(asked: list[list[str]]) -> Answer:
    """Return answers that refuse twelve channels once, and accept all others.

    An answer has ten errors at most; `more_errors` counts the others.
    """

    async def answer(peer: Peer, request: Message) -> None:
        names = request["channels"]
        asked.append(names)
        if len(asked) > 1:
            await peer.accept(request)
            return
        for name in names[:10]:
            await peer.refuse(request, "slab_limit", name)
        await peer.reply(request, "error", code="more_errors", message="more", count=2)
        if accepted := names[12:]:
            await peer.reply(request, "subscribed", channels=accepted)

    return answer


async def test_a_channel_whose_error_is_not_listed_is_asked_again_too() -> None:
    """Which of the others were refused is not known, so all are asked for."""
    names = [f"trades:{number}" for number in range(12)]
    asked: list[list[str]] = []
    answer = refusing_twelve_at_first(asked)
    async with scripted(answer=answer) as gateway, following(gateway.url, *names) as program:
        await eventually(lambda: program.state == "live")
        codes = [each.code for each in program.got if isinstance(each, Refused)]
        assert codes == ["slab_limit"] * 10 + ["more_errors"] * 2
    assert asked[0] == names
    assert sorted(name for request in asked[1:] for name in request) == sorted(names)


async def test_channels_that_a_partial_reply_leaves_out_are_asked_again() -> None:
    """Here one succeeded, so `subscribed` says which."""
    names = [f"trades:{number}" for number in range(13)]
    asked: list[list[str]] = []
    answer = refusing_twelve_at_first(asked)
    async with scripted(answer=answer) as gateway, following(gateway.url, *names) as program:
        await eventually(lambda: program.state == "live")
        assert len(program.got) == 12
    assert names[12] not in [name for request in asked[1:] for name in request]


async def test_a_long_name_is_known_by_what_the_error_repeats_of_it() -> None:
    """A gateway that does not know the kind repeats 64 characters."""
    name = f"liquidations:{'x' * 64}"

    async def answer(peer: Peer, request: Message) -> None:
        await peer.refuse(request, "invalid_channel", name[:64])

    async with scripted(answer=answer) as gateway, follow(gateway.url, name) as feed:
        with pytest.raises(RequestError) as raised:
            await anext(feed)
    assert raised.value.channel == name


async def test_a_rate_limit_of_an_older_gateway_is_waited_for() -> None:
    """It is no refusal for the program."""
    async with (
        scripted(answer=_limited_once()) as gateway,
        following(gateway.url, TRADES) as program,
    ):
        await eventually(lambda: program.names == ["connecting", "live"])
        assert program.got == []


def _limited_once() -> Answer:
    limited = False

    async def answer(peer: Peer, request: Message) -> None:
        nonlocal limited
        if not limited:
            limited = True
            await peer.refuse(request, "rate_limited")
        else:
            await peer.accept(request)

    return answer


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
async def test_an_http_error_that_will_not_go_away_is_raised(status: str) -> None:
    """If it is the first answer ever."""
    with hostile_gateway(refusal=page({}, status)) as gateway:
        said = f"no gateway at {gateway.ws}: it answers HTTP {status[:3]}"
        with pytest.raises(GatewayUnreachableError, match=said):
            await anext(follow(gateway.ws, TRADES))


@pytest.mark.parametrize(
    "status", ["408 Request Timeout", "429 Too Many Requests", "503 Service Unavailable"]
)
async def test_an_http_error_that_may_go_away_is_a_reason_to_wait(status: str) -> None:
    """The state has it."""
    with hostile_gateway(refusal=page({}, status)) as gateway:
        async with following(gateway.ws, TRADES) as program:
            await eventually(lambda: "waiting" in program.names)
            assert program.states[1].reason == f"it answers HTTP {status[:3]}"


async def test_an_http_error_of_a_gateway_that_was_there_before_is_a_reason_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy may answer 404 while the gateway is replaced."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    with hostile_gateway(refusal=page({}, "404 Not Found")) as absent:
        async with scripted() as gateway, Balancer() as balancer:
            balancer.backends = [gateway.port]
            async with following(f"ws://127.0.0.1:{balancer.port}", TRADES) as program:
                await eventually(lambda: program.state == "live")
                balancer.backends = [absent.port]
                await gateway.peers[0].socket.close()
                await eventually(lambda: "it answers HTTP 404" in program.states[-1].reason)
                balancer.backends = [gateway.port]
                await eventually(lambda: program.state == "live")
