"""Tokens: fetched before the socket is opened, renewed before they expire, refused."""

import asyncio
import time

import jwt
import pytest

from percolator.client import Refused, backoff, follow
from percolator.client import tokens as module
from percolator.errors import RequestError
from tests.gateway import eventually
from tests.integration.client.following import following
from tests.integration.conftest import StartGateway
from tests.scripted import Message, Peer, ScriptedGateway, scripted, trade

TRADES, OTHER = "trades:SOL", "trades:BTC"
SECRET = "s" * 40


def signed(life: float = 3_600, *channels: str) -> str:
    """Return a token that a gateway with the secret accepts."""
    claims = {"exp": time.time() + life, "aud": "percolator", "channels": channels or ("*",)}
    return jwt.encode(claims, SECRET)


class Endpoint:
    """A program's token function: it counts its calls, and answers when it may."""

    def __init__(self, *tokens: str) -> None:
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()
        self._tokens = tokens

    async def __call__(self) -> str:
        """Return the next token; the last one again and again."""
        self.calls += 1
        number = min(self.calls, len(self._tokens)) - 1
        await self.open.wait()
        return self._tokens[number]


def tokens(gateway: ScriptedGateway) -> list[str]:
    """Return the tokens that a gateway was sent."""
    return [each["token"] for peer in gateway.peers for each in peer.asked("auth")]


@pytest.mark.parametrize("kind", ["string", "function"])
async def test_a_real_gateway_that_requires_a_token_is_followed(
    start_gateway: StartGateway, kind: str
) -> None:
    """The token goes into a message, before the channels are requested."""
    gateway = await start_gateway(auth=True, auth_secret=SECRET)
    given = signed() if kind == "string" else Endpoint(signed())
    async with following(f"ws://127.0.0.1:{gateway.port}", TRADES, token=given) as program:
        await eventually(lambda: program.state == "live")
        seq = await gateway.publish("trade", "SOL")
        await eventually(lambda: program.short == [seq])


async def test_the_token_is_fetched_before_the_socket_is_opened() -> None:
    """A slow endpoint is asked once, and keeps no gateway waiting."""
    endpoint = Endpoint("t1")
    endpoint.open.clear()
    async with scripted() as gateway, following(gateway.url, TRADES, token=endpoint) as program:
        await eventually(lambda: endpoint.calls == 1)
        assert not gateway.peers
        assert program.names == ["connecting"]
        endpoint.open.set()
        await eventually(lambda: program.state == "live")
        peer = gateway.peers[0]
        assert [each["type"] for each in peer.requests] == ["auth", "subscribe"]
        assert tokens(gateway) == ["t1"]
        assert endpoint.calls == 1


async def test_a_new_token_is_sent_before_the_old_one_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the same connection."""
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.01)
    endpoint = Endpoint(signed(0.1), signed(3_600, TRADES))
    async with scripted() as gateway, following(gateway.url, TRADES, token=endpoint) as program:
        await eventually(lambda: len(tokens(gateway)) == 2)
        assert tokens(gateway)[0] != tokens(gateway)[1]
        assert endpoint.calls == 2
        assert len(gateway.peers) == 1
        assert program.names == ["connecting", "live"]


async def test_a_renewal_that_comes_after_the_connection_is_used_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The endpoint is not asked again while it has not answered."""
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    endpoint = Endpoint(signed(0.1), "t2")
    async with scripted() as gateway, following(gateway.url, TRADES, token=endpoint) as program:
        await eventually(lambda: endpoint.calls == 1 and program.state == "live")
        endpoint.open.clear()
        await eventually(lambda: endpoint.calls == 2)
        await gateway.peers[0].socket.close()
        await eventually(lambda: program.names[-2:] == ["waiting", "connecting"])
        assert endpoint.calls == 2
        endpoint.open.set()
        await eventually(lambda: program.state == "live")
        assert tokens(gateway)[-1] == "t2"
        assert endpoint.calls == 2


async def test_a_function_that_fails_is_a_wait_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked again for the next attempt; what looks like a token is not shown."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    calls = 0

    async def fails_twice() -> str:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise OSError(f"refused with Bearer {SECRET}")
        return "t"

    async with scripted() as gateway, following(gateway.url, TRADES, token=fails_twice) as program:
        await eventually(lambda: program.state == "live")
        waits = [state for state in program.states if state.name == "waiting"]
        assert [state.reason for state in waits] == [
            "the token function failed: refused with Bearer (token)"
        ] * 2
        assert len(gateway.peers) == 1


async def _refuse_old_tokens(peer: Peer, request: Message) -> None:
    if request["type"] == "auth" and request["token"] == "old":
        await peer.refuse(request, "unauthorized")
    else:
        await peer.accept(request)


async def test_a_string_that_the_gateway_refuses_is_raised() -> None:
    """The next attempt would send the same one."""
    async with scripted(answer=_refuse_old_tokens) as gateway:
        async with follow(gateway.url, TRADES, token="old") as feed:
            with pytest.raises(RequestError) as raised:
                await anext(feed)
        assert raised.value.code == "unauthorized"
        assert len(gateway.peers) == 1


async def test_a_token_of_a_function_that_the_gateway_refuses_is_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The function may know a better one by then."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    endpoint = Endpoint("old", "new")
    async with (
        scripted(answer=_refuse_old_tokens) as gateway,
        following(gateway.url, TRADES, token=endpoint) as program,
    ):
        await eventually(lambda: program.state == "live")
        (wait,) = [state for state in program.states if state.name == "waiting"]
        assert wait.reason == "the gateway refuses the token: no: unauthorized"
        assert tokens(gateway) == ["old", "new"]


async def test_a_gateway_that_requires_no_token_is_followed_with_one() -> None:
    """It says so in an error, and the program gets none."""

    async def open_to_all(peer: Peer, request: Message) -> None:
        if request["type"] == "auth":
            await peer.refuse(request, "auth_disabled")
        else:
            await peer.accept(request)

    async with (
        scripted(answer=open_to_all) as gateway,
        following(gateway.url, TRADES, token="t") as program,
    ):
        await eventually(lambda: program.names == ["connecting", "live"])
        assert program.got == []


async def test_a_channel_that_the_new_token_does_not_cover_is_a_message() -> None:
    """With a function, the next token may cover it again; then it is asked at once."""
    withdrawn = {"type": "error", "code": "unauthorized", "message": "no", "channel": OTHER}
    async with (
        scripted() as gateway,
        following(gateway.url, TRADES, OTHER, token=Endpoint("t")) as program,
    ):
        peer = await gateway.peer()
        await eventually(lambda: program.state == "live")
        await peer.send(withdrawn | {"id": "auth-2"})
        await eventually(lambda: program.got == [Refused(OTHER, "unauthorized", "no")])
        assert program.state == "connecting"
        await peer.send({"type": "authenticated", "channels": ["*"], "id": "auth-3"})
        await eventually(lambda: program.state == "live")
        await peer.send(trade(7, slab="BTC"))
        await eventually(lambda: program.short[1:] == [7])
