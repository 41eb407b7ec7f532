"""When file descriptors run out, new sockets are refused and existing ones are still served."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest

from percolator.jetstream.publisher import Publisher
from tests.client import PATIENCE, Client, upgrade
from tests.gateway import event_json
from tests.nats_server import NatsServer
from tests.site import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")

PROGRAM = Path(sys.executable).with_name("percolator")
DESCRIPTORS = 256
FLOOD = 400


@asynccontextmanager
async def starved_gateway(
    folder: Path, nats_url: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[int, int, Path]]:
    """Run `percolator serve` with few descriptors; yield its port, its process ID and its log."""
    log = folder / "log"
    environment = {
        "PERCOLATOR_PORT": "0",
        "PERCOLATOR_NATS_URL": nats_url,
        "PERCOLATOR_MAX_CONNECTIONS_PER_IP": "0",
        "PERCOLATOR_ATTEMPTS_PER_SECOND": "0",
        **(settings or {}),
    }
    limited = ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$0" serve', str(PROGRAM)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: ASYNC220 - asyncio's needs a child watcher's thread
            limited, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=folder
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            found = re.search(rb"WebSocket wss?://127\.0\.0\.1:([0-9]+)", line)
            assert found, log.read_text()
            yield int(found[1]), process.pid, log
            assert process.poll() is None
        finally:
            process.kill()


def descriptors(pid: int) -> int:
    """Count the descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_a_flood_of_sockets_is_refused_and_costs_no_client_anything(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """They are closed, some at once and some later, and one log line reports it.

    An existing client is served in the meantime, and after the flood all clients are.
    """
    async with AsyncExitStack() as stack:
        port, pid, log = await stack.enter_async_context(
            starved_gateway(tmp_path, nats_process.url)
        )
        publisher = await nats.connect(nats_process.url)
        stack.push_async_callback(publisher.close)
        publish = Publisher(publisher, "PERCOLATOR").publish

        client = await Client.dial("127.0.0.1", port)
        client.write(upgrade())
        await client.opened()
        await client.subscribed("trades:SOL")
        stack.callback(client.abort)

        flood = await asyncio.gather(*(Client.dial("127.0.0.1", port) for _ in range(FLOOD)))
        for _ in range(20):
            seq = await publish("percolator.trade.SOL", event_json("trade"))
            assert (await client.receive())["seq"] == seq
            assert descriptors(pid) < DESCRIPTORS
        for each in flood[: FLOOD - DESCRIPTORS]:
            await each.gone()
        assert client.lost is False
        for each in flood:
            each.abort()

        late = await Client.dial("127.0.0.1", port)
        stack.callback(late.abort)
        late.write(upgrade())
        await late.opened()
        assert [message["type"] for message in await late.subscribed("trades:SOL")] == [
            "connected",
            "subscribed",
        ]
        lines = log.read_text().splitlines()
        assert len([line for line in lines if "new ones are refused" in line]) == 1
        assert len(lines) < 10, lines


@pytest.mark.parametrize("first", [b"", b"\x16"])
async def test_a_flood_of_silent_sockets_leaves_descriptors_for_clients_with_tls(
    first: bytes, tmp_path: Path, nats_process: NatsServer, site: Site
) -> None:
    """They count before TLS begins, also if they send the first byte of a handshake."""
    files = {
        f"PERCOLATOR_{name.upper()}": str(path) for name, path in sorted(site.settings.items())
    }
    async with AsyncExitStack() as stack:
        port, pid, log = await stack.enter_async_context(
            starved_gateway(tmp_path, nats_process.url, files)
        )
        client = await stack.enter_async_context(site.client(port))
        assert '"connected"' in str(await client.recv())
        dials = (Client.dial("127.0.0.1", port, local="127.0.0.2") for _ in range(FLOOD))
        flood = await asyncio.gather(*dials)
        for each in flood:
            stack.callback(each.abort)
            if first:
                each.write(first)
        for each in flood[: FLOOD - DESCRIPTORS]:
            await each.gone()
        assert descriptors(pid) < DESCRIPTORS
        late = await stack.enter_async_context(site.client(port))
        assert '"connected"' in str(await late.recv())
        await client.send('{"type":"ping"}')
        assert '"pong"' in str(await client.recv())
        assert "Traceback" not in log.read_text()


async def test_a_flood_of_clients_is_refused_and_costs_no_client_anything(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """Even if all the sockets are clients that behave: those over the limit are turned away."""
    async with AsyncExitStack() as stack:
        port, _, log = await stack.enter_async_context(starved_gateway(tmp_path, nats_process.url))
        clients = []
        async with asyncio.timeout(PATIENCE):
            while True:
                client = await Client.dial("127.0.0.1", port)
                stack.callback(client.abort)
                client.write(upgrade())
                await client.answered()
                if client.lost is not False:
                    break
                clients.append(client)
        assert DESCRIPTORS // 3 < len(clients) < DESCRIPTORS
        for client in clients:
            assert [message["type"] for message in await client.receive_until_pong()] == [
                "connected",
                "pong",
            ]
        assert "Traceback" not in log.read_text()
