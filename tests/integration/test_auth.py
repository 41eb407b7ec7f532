"""Authentication: which clients may connect, what they may read, and for how long."""

import asyncio
import json
import logging
import time
from collections.abc import Callable

import pytest

from percolator.fanout import session
from tests.client import Client, upgrade
from tests.gateway import Gateway, eventually
from tests.integration.authenticating import (
    SECRET,
    WAYS,
    authenticated,
    by_header,
    token,
    unsigned,
)
from tests.integration.conftest import StartGateway

UNAUTHORIZED = "the token is missing, not valid, or does not cover the channel"


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """A gateway that requires tokens."""
    return await start_gateway(auth=True, auth_secret=SECRET)


async def test_a_client_reads_everything_without_a_token_if_auth_is_disabled(
    start_gateway: StartGateway,
) -> None:
    """Auth is off by default; an `auth` message is answered, and its token is not checked."""
    gateway = await start_gateway()
    client = await by_header(gateway, "junk")
    assert (await authenticated(client, "junk"))["code"] == "auth_disabled"
    await client.subscribed("trades:SOL")


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_opens_the_channels_that_it_covers(
    way: Callable[[Gateway, str], asyncio.Future[Client]], gateway: Gateway
) -> None:
    """The token may come in a message, in a header or in the URL."""
    client = await way(gateway, token("price:*", "*:SOL"))
    assert await client.receive() == {"type": "authenticated", "channels": ["price:*", "*:SOL"]}
    client.subscribe("price:BTC", "trades:SOL", "trades:BTC", id=7)
    refusal, reply = await client.receive_many(2)
    assert refusal == {
        "type": "error",
        "code": "unauthorized",
        "message": UNAUTHORIZED,
        "channel": "trades:BTC",
        "id": 7,
    }
    assert (reply["channels"], reply["id"]) == (["price:BTC", "trades:SOL"], 7)
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive())["seq"] == seq


async def test_a_token_for_prices_reads_no_trades(gateway: Gateway) -> None:
    """Neither by channel name nor in the legacy form, which means all three channels."""
    client = await by_header(gateway, token("price:SOL"))
    await client.receive()
    client.subscribe("trades:SOL", since=0)
    assert (await client.receive())["code"] == "unauthorized"
    client.send({"type": "subscribe", "slabAddress": "SOL"})
    *refusals, reply = await client.receive_until_type("subscribed")
    assert [each["channel"] for each in refusals] == ["trades:SOL", "funding:SOL"]
    assert reply["channels"] == ["price:SOL"]
    await gateway.publish("trade", "SOL")
    await gateway.publish("funding", "SOL")
    seq = await gateway.publish("price", "SOL")
    assert (await client.receive())["seq"] == seq


async def test_a_client_without_a_token_gets_replies_but_no_events(gateway: Gateway) -> None:
    """Requests are answered before authentication too, with an error for each channel."""
    client = await gateway.client()
    client.subscribe("price:SOL", "trades:SOL")
    first, second = await client.receive_many(2)
    assert [first["channel"], second["channel"]] == ["price:SOL", "trades:SOL"]
    assert {first["code"], second["code"]} == {"unauthorized"}
    await client.receive_until_pong()
    assert gateway.service.slab_limits.clients == {}


@pytest.mark.parametrize("way", WAYS)
async def test_all_invalid_tokens_get_the_same_answer(
    way: Callable[[Gateway, str], asyncio.Future[Client]], gateway: Gateway
) -> None:
    """The answers are equal byte for byte: they do not reveal what was wrong."""
    bad = [
        token(secret="another secret of as many bytes!!"),
        token(ago=61),
        token(ago=-30),
        unsigned(),
        "junk",
    ]
    answers = set()
    for each in bad:
        client = await way(gateway, each)
        await client.receive()
        answers.add(client.texts[-1])
    (answer,) = answers
    assert json.loads(answer) == {
        "type": "error",
        "code": "unauthorized",
        "message": UNAUTHORIZED,
    }


async def test_a_client_that_does_not_authenticate_in_time_is_closed(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So are a client that keeps sending messages and a client whose token was refused."""
    assert session.AUTH_SECONDS == 5
    monkeypatch.setattr(session, "AUTH_SECONDS", 0.5)
    gateway = await start_gateway(auth=True, auth_secret=SECRET)
    silent = await gateway.client()
    talking = await gateway.client()
    await talking.receive_until_pong()
    refused = await by_header(gateway, "junk")
    for client in (silent, talking, refused):
        assert await client.closed() == (1008, "not authenticated in time")


async def test_a_connection_is_closed_when_its_token_expires(gateway: Gateway) -> None:
    """A token that lasts two seconds reads for two seconds."""
    client = await by_header(gateway, token(seconds=2))
    await client.receive()
    await client.subscribed("trades:SOL")
    assert await client.closed() == (1008, "the token has expired")
    await eventually(lambda: not gateway.service.slab_limits.clients)


async def test_a_second_token_replaces_the_first(gateway: Gateway) -> None:
    """It may last longer; channels that it does not cover are withdrawn, each with an error."""
    began = time.time()
    client = await by_header(gateway, token("*:SOL", seconds=2))
    await client.receive()
    await client.subscribed("trades:SOL", "price:SOL")
    client.send({"type": "auth", "token": token("trades:*", seconds=60), "id": "again"})
    withdrawn, reply = await client.receive_many(2)
    assert (withdrawn["code"], withdrawn["channel"]) == ("unauthorized", "price:SOL")
    assert reply == {"type": "authenticated", "channels": ["trades:*"], "id": "again"}
    await gateway.publish("price", "SOL")
    seq = await gateway.publish("trade", "SOL")
    assert (await client.receive())["seq"] == seq
    await eventually(lambda: time.time() > began + 4)  # the first token and two sweeps are over
    await client.receive_until_pong()


async def test_a_refused_token_leaves_the_first_token_in_force(gateway: Gateway) -> None:
    """The client keeps its subscription."""
    client = await by_header(gateway, token("price:SOL"))
    await client.receive()
    await client.subscribed("price:SOL")
    assert (await authenticated(client, "junk"))["code"] == "unauthorized"
    seq = await gateway.publish("price", "SOL")
    assert (await client.receive())["seq"] == seq


async def test_a_token_never_appears_in_logs_pages_or_answers(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the token is valid or not."""
    caplog.set_level(logging.DEBUG)
    tokens = [token(), token(secret="another secret of as many bytes!!"), "junk-junk-junk"]
    clients = [await way(gateway, each) for way in WAYS for each in tokens]
    for client in clients:
        await client.receive_until_pong()
    shown = [await gateway.get(path) for path in ("/ws/stats", "/health", "/metrics", "/nowhere")]
    bad, _, body = await gateway.request(upgrade(f"/ws?token={tokens[0]}", {"Upgrade": "x"}))
    assert bad != 101
    everything = [caplog.text, str(shown), str(body), *map(repr, clients)]
    everything += [text.decode() for client in clients for text in client.texts]
    for each in tokens:
        for part in each.split("."):
            assert part not in "\n".join(everything)


async def test_authentication_adds_no_task_and_no_timer(gateway: Gateway) -> None:
    """The sweep checks the deadlines of all connections."""
    first = await by_header(gateway, token())
    await first.receive_until_pong()
    tasks, timers = len(asyncio.all_tasks()), pending_timers()
    for _ in range(50):
        client = await by_header(gateway, token())
        await client.receive_until_pong()
    assert len(asyncio.all_tasks()) <= tasks
    assert pending_timers() <= timers + 5


def pending_timers() -> int:
    """Return the number of timers that are set on the loop."""
    handles = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not handle.cancelled() for handle in handles)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example", ""])
async def test_pages_of_other_origins_are_refused_before_the_upgrade(
    origin: str, start_gateway: StartGateway
) -> None:
    """With 403; listed origins may connect, and so may programs, which have no origin."""
    gateway = await start_gateway(allowed_origins="https://app.example,http://localhost:3000")
    status, _, body = await gateway.request(upgrade(headers={"Origin": origin}))
    assert (status, body) == (403, b"Pages from this origin may not connect here.\n")
    for welcome in ("https://app.example", "http://localhost:3000", "HTTPS://App.Example"):
        await gateway.handshake(headers={"Origin": welcome})
    await gateway.handshake()
    assert (await gateway.stats())["rejectedConnections"] == {"origin": 1}


async def test_the_market_pages_show_what_a_token_covers(gateway: Gateway) -> None:
    """A client that may not read a channel over the socket may not read it over HTTP either."""
    await gateway.publish("price", "SOL")
    await gateway.publish("price", "BTC")
    await gateway.has_read(await gateway.publish("trade", "SOL"))
    for path in ("/markets", "/markets/SOL"):
        assert (await gateway.get(path))[0] == 401
        assert (await gateway.get(f"{path}?token=junk"))[0] == 401
    bearer = f"Authorization: Bearer {token('price:SOL')}\r\n"
    status, _, body = await gateway.get("/markets", bearer)
    assert status == 200
    assert {slab: sorted(found) for slab, found in json.loads(body)["markets"].items()} == {
        "SOL": ["price", "slab"]
    }
    assert (await gateway.get("/markets/BTC", bearer))[0] == 404
    assert (await gateway.get(f"/markets/SOL?token={token('trades:*')}"))[0] == 200
