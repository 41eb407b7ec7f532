"""Addresses, logins and proxies: for the client, and for the commands."""

import asyncio
import logging
import socket

import pytest

from percolator.client import backoff
from percolator.client.address import parse
from percolator_cli import gateway as commands
from percolator_cli.doctor.examine import _socket_trouble
from percolator_cli.doctor.facts import GatewayFacts
from percolator_cli.loadtest.client_pool import ClientPool
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.reference import Reference
from tests.gateway import eventually
from tests.hostile import CONNECTED, SUBSCRIBED, HostileGateway, hostile_gateway, page, saying, text
from tests.integration.client.following import following
from tests.scripted import scripted

TRADES = "trades:SOL"
PROXIES = ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy")
LOGIN = "Basic YWxpY2U6czNjcmV0"
"""Of alice with the password s3cret."""
DEAD = "http://bob:pr0xy@127.0.0.1:1"


def use_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Put a proxy into the environment."""
    for name in PROXIES:
        monkeypatch.setenv(name, proxy)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


@pytest.mark.parametrize("path", ["/feed", "/feed/", "/feed/ws", "/feed/ws/stats"])
async def test_the_client_keeps_a_path_prefix_and_a_login(path: str) -> None:
    """A token is in a message, so that the header is free for the login."""
    async with scripted() as gateway:
        url = f"ws://alice:s3cret@127.0.0.1:{gateway.port}{path}"
        async with following(url, TRADES, token="t") as program:
            await eventually(lambda: program.state == "live")
        assert gateway.paths == ["/feed/ws"]
        assert gateway.headers[0]["authorization"] == LOGIN


async def test_all_commands_keep_a_path_prefix_and_a_login() -> None:
    """HTTP requests, the WebSockets of the doctor, and the clients of the load test."""
    heads: list[bytes] = []

    class Recording(HostileGateway):
        def serve(self, client: socket.socket) -> None:
            heads.append(client.recv(65_536, socket.MSG_PEEK))
            super().serve(client)

    spoken = text(CONNECTED), text(SUBSCRIBED)
    with hostile_gateway(Recording, speak=saying(*spoken)) as gateway:
        gateway.pages["/feed/ws/stats"] = page({"totalConnections": 3})
        at = parse(f"http://alice:s3cret@127.0.0.1:{gateway.port}/feed")
        found = await asyncio.to_thread(commands.stats, at, None)
        assert found.total_connections == 3
        assert await _socket_trouble(at, None, (), GatewayFacts("")) == ""
        pool = ClientPool(at, None)
        await pool.resolve()
        await pool.add([TRADES], None, Reference("SOL", Histogram(), lambda *_: None), None)
        assert not pool.refusals
        pool.close()
    paths = [head.split()[1] for head in heads]
    assert paths == [b"/feed/ws/stats", b"/feed/ws", b"/feed/ws"]
    assert all(f"Authorization: {LOGIN}".encode() in head for head in heads)


async def test_no_proxy_is_used_for_a_gateway_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the environment says, for the client and for the doctor."""
    use_proxy(monkeypatch, DEAD)
    async with scripted() as gateway:
        for host in ("127.0.0.1", "localhost"):
            url = f"ws://{host}:{gateway.port}"
            async with following(url, TRADES) as program:
                await eventually(lambda: program.state == "live")
            assert await _socket_trouble(parse(url), None, (), GatewayFacts("")) == ""


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (DEAD, "connection refused"),
        ("ftp://bob:pr0xy@127.0.0.1", "the address of the proxy in the environment is not valid"),
        ("socks5://bob:pr0xy@127.0.0.1:1", "a SOCKS proxy in the environment needs the package"),
        ("http://bob:pr0xy@127.0.0.1:{port}", "the proxy in the environment does not connect"),
    ],
)
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "x"])
async def test_a_fault_of_a_proxy_is_a_sentence_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str, status: str
) -> None:
    """The state has it, and the doctor says the same."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    with hostile_gateway() as there:
        there.pages["gateway.test:80"] = page({}, status)
        use_proxy(monkeypatch, proxy.replace("{port}", str(there.port)))
        async with following("ws://gateway.test", TRADES) as program:
            await eventually(lambda: "waiting" in program.names)
        trouble = await _socket_trouble(parse("ws://gateway.test"), None, (), GatewayFacts(""))
        for reason in (program.states[1].reason, trouble):
            assert reason.startswith(said)
            assert "pr0xy" not in reason


async def test_a_login_is_in_no_state_and_no_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Even at DEBUG, where the library of the protocol would log its requests."""
    monkeypatch.setattr(backoff, "LONGEST_DELAY", 0.001)
    caplog.set_level(logging.DEBUG)
    async with scripted() as gateway:
        url = f"ws://alice:s3cret@127.0.0.1:{gateway.port}"
        async with following(url, TRADES, token="t0ken") as program:
            await eventually(lambda: program.state == "live")
            await gateway.peers[0].socket.close(1008, "no: alice:s3cret@here")
            await eventually(lambda: program.names.count("live") == 2)
    ours = [each for each in caplog.records if each.name != "websockets.server"]
    assert any("not connected to" in record.getMessage() for record in ours)
    shown = "\n".join([*(record.getMessage() for record in ours), *map(str, program.states)])
    assert not any(secret in shown for secret in ("s3cret", LOGIN.split()[1], "t0ken"))
