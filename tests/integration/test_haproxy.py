"""A real HAProxy in front of a gateway, if one is installed: its checks, and its PROXY headers."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.client import PATIENCE, Client, upgrade
from tests.gateway import Gateway
from tests.integration.conftest import StartGateway
from tests.nats_server import ReservedPort
from tests.site import Site

PROGRAM = shutil.which("haproxy")
CONFIGURATION = """
global
    stats socket {folder}/stats.sock
defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    default-server inter 50ms
listen gateways
    bind 127.0.0.1:{port}
    option httpchk HEAD /health
    {lines}
    server gateway 127.0.0.1:{gateway} check {options}
"""
CLIENT, OTHER = "127.0.0.5", "127.0.0.6"
SETTINGS = {"max_connections_per_ip": 1, "trusted_proxies": "127.0.0.1"}

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="HAProxy is not installed")


@asynccontextmanager
async def haproxy(
    folder: Path, gateway: Gateway, options: str = "", mode: str = "tcp", lines: str = ""
) -> AsyncIterator[int]:
    """Run HAProxy in front of a gateway, and yield its port once its check finds the gateway up."""
    port = ReservedPort()
    fields = {"folder": folder, "mode": mode, "lines": lines, "options": options}
    text = CONFIGURATION.format(port=port.number, gateway=gateway.port, **fields)
    (folder / "haproxy.cfg").write_text(text)
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), "-db", "-f", str(folder / "haproxy.cfg"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while "L7OK" not in await status(folder / "stats.sock"):
                assert process.returncode is None, "HAProxy has ended"
                await asyncio.sleep(0.02)
        yield port.number
    finally:
        port.release()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def status(stats: Path) -> str:
    """Return what HAProxy says of the gateway: UP, with the result of a check, or anything else."""
    try:
        reader, writer = await asyncio.open_unix_connection(stats)
    except OSError:
        return ""  # it is starting
    writer.write(b"show stat -1 4 -1\n")
    text = (await reader.read()).decode()
    writer.close()
    return text if ",UP," in text else ""


async def greeted(port: int, local: str) -> Client:
    """Connect through HAProxy, and expect the greeting."""
    client = await Client.dial("127.0.0.1", port, local=local)
    client.write(upgrade())
    await client.opened()
    assert (await client.receive())["type"] == "connected"
    return client


async def test_haproxy_finds_a_gateway_up_that_it_checks_with_head(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    """In HTTP mode it passes WebSockets on by itself, and names the client in X-Forwarded-For."""
    gateway = await start_gateway(**SETTINGS)
    async with haproxy(tmp_path, gateway, mode="http", lines="option forwardfor") as port:
        clients = [await greeted(port, CLIENT), await greeted(port, OTHER)]
        assert gateway.service.admission.places.by_address == {CLIENT: 1, OTHER: 1}
        for client in clients:
            client.abort()


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
async def test_haproxy_names_its_clients_in_a_proxy_header(
    start_gateway: StartGateway, tmp_path: Path, option: str
) -> None:
    """Its checks have a header too, and find the gateway up."""
    gateway = await start_gateway(proxy_protocol=True, **SETTINGS)
    async with haproxy(tmp_path, gateway, option) as port:
        clients = [await greeted(port, CLIENT), await greeted(port, OTHER)]
        assert gateway.service.admission.places.by_address == {CLIENT: 1, OTHER: 1}
        second = await Client.dial("127.0.0.1", port, local=CLIENT)
        second.write(upgrade())
        assert (await second.closed())[0] == 1008
        for client in (*clients, second):
            client.abort()
    assert gateway.service.stats.refused == {"too many connections from this address": 1}


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
async def test_haproxy_passes_tls_on_to_the_gateway_after_a_proxy_header(
    start_gateway: StartGateway, tmp_path: Path, site: Site, option: str
) -> None:
    """The gateway counts the client that the header names, and has the certificate."""
    gateway = await start_gateway(proxy_protocol=True, **SETTINGS, **site.settings)
    options = f"{option} check-ssl verify none"
    async with haproxy(tmp_path, gateway, options) as port:
        assert await site.presented(port) == "first"
        url = f"wss://127.0.0.1:{port}/ws"
        async with connect(url, ssl=site.trusting, local_addr=(CLIENT, 0)) as client:
            assert '"connected"' in str(await client.recv())
            assert gateway.service.admission.places.by_address == {CLIENT: 1}
