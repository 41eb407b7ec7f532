"""A gateway for tests: the real Service in this process, on a port and a stream of its own.

At the end all clients are disconnected, and then each of the gateway's counters must be zero.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client as NatsClient

from percolator.app.service import Addresses, Service
from percolator.config.settings import Settings
from percolator.jetstream.publisher import Publisher
from tests.channels import subject_of
from tests.client import PATIENCE, Client, Message, upgrade

POLL_SECONDS = 0.005

UNLIMITED = {
    "max_connections_per_ip": 0,
    "attempts_per_second": 0,
    "requests_per_second": 0,
    "messages_per_second": 0,
    "drain_seconds": 2,
}
"""A test opens many connections from one address; tests of these limits set them."""


class Gateway:
    """A running gateway, its clients, and a way to publish to its stream."""

    nats: NatsClient
    """A NATS connection that belongs to the test."""
    publisher: Publisher

    def __init__(self, service: Service, addresses: Addresses) -> None:
        self.service = service
        self.port = addresses.port
        self._clients: list[Client] = []

    async def dial(self, **options: Any) -> Client:  # noqa: ANN401 - as Client.dial
        """Open a socket and send nothing."""
        client = await Client.dial("127.0.0.1", self.port, **options)
        self._clients.append(client)
        return client

    async def handshake(
        self,
        path: str = "/ws",
        headers: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - as Client.dial
    ) -> Client:
        """Request an upgrade, and wait for the response 101."""
        client = await self.dial(**options)
        client.write(upgrade(path, headers))
        return await client.opened()

    async def client(self, *channels: str, **options: Any) -> Client:  # noqa: ANN401 - as Client.dial
        """Connect, wait for the greeting, and subscribe to the channels if any are named."""
        client = await self.handshake(**options)
        greeting = await client.receive()
        assert greeting["type"] == "connected"
        if channels:
            await client.subscribed(*channels)
        return client

    async def clients(self, count: int, *channels: str) -> list[Client]:
        """Connect several clients with the same channels, all at once."""
        return await asyncio.gather(*(self.client(*channels) for _ in range(count)))

    async def publish(self, kind: str, slab: str, **fields: object) -> int:
        """Publish one event, its usual fields overridden by `fields`; return its seq."""
        return await self.publish_raw(subject_of(kind, slab), event_json(kind, **fields))

    async def publish_raw(self, subject: str, payload: bytes) -> int:
        """Publish any payload; return its seq."""
        return await self.publisher.publish(subject, payload)

    async def has_read(self, seq: int) -> None:
        """Wait until the gateway has read the stream up to a seq."""
        await eventually(lambda: self.service.hub.book.seq >= seq)

    async def request(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes; return status (0 without a response), headers and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
        finally:
            writer.close()
        return parse_answer(answer)

    async def get(self, path: str, headers: str = "") -> tuple[int, dict[str, str], bytes]:
        """Send a GET request; return status, headers and body."""
        return await self.request(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())

    async def get_json(self, path: str) -> Message:
        """Send a GET request that must succeed; return the JSON."""
        status, _, body = await self.get(path)
        assert status == 200, (status, body)
        found: Message = json.loads(body)
        return found

    async def stats(self) -> Message:
        """Return the JSON of `/ws/stats`."""
        return await self.get_json("/ws/stats")

    async def disconnect_clients(self) -> None:
        """Abort all clients, and wait until the gateway has noticed."""
        for client in self._clients:
            client.abort()
        await eventually(lambda: not len(self.service.gateway.sockets))


def event_json(kind: str, **fields: object) -> bytes:
    """Return an event of a kind as JSON, with usual values for the fields that are not passed."""
    usual: dict[str, Message] = {
        "price": {"price": 1.5},
        "trade": {"side": "long", "size": "1000000", "price": 1.5},
        "funding": {"rate": "0.0001"},
        "liquidation": {"side": "short", "size": "2", "price": 1.4},
        "market": {"status": "active"},
    }
    return json.dumps({**usual[kind], "timestamp": 1_234_567_890_123, **fields}).encode()


def parse_answer(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Split an HTTP response into status, headers and body; header names are in lower case."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    return int(line.split()[1]), headers, body


async def eventually(holds: Callable[[], bool]) -> None:
    """Poll until a condition holds that no event announces."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(POLL_SECONDS)


def leftovers(service: Service) -> dict[str, Any]:
    """Return what a service still holds for clients; without clients this must be empty."""
    hub, admission, heartbeat = service.hub, service.admission, service.heartbeat
    counts = {
        "connections": len(service.gateway.connections),
        "sockets": len(service.gateway.sockets),
        "sockets by address": service.gateway.sockets._by_tier,
        "unread answers": service.gateway.unread.total,
        "waiting for their rate": len(service.gateway.parsing.waiting),
        "waiting for an answer": len(service.gateway.answering),
        "places": admission.places.total,
        "places by address": admission.places.by_address,
        "places by network": admission.places.by_network,
        "clients by slab": service.slab_limits.clients,
        "groups": len(hub._groups),
        "behind": hub.paused,
        "followers": [log.channel for log in hub.book.all_logs() if log.followers],
        "empty logs": [log.channel for log in hub.book.logs.values() if log.is_blank],
        "pongs awaited": len(heartbeat._waiting) + len(heartbeat._pinged),
        "replays": service.replayer.running,
    }
    return {name: count for name, count in counts.items() if count}


@asynccontextmanager
async def starting(nats_url: str, stream: str, **settings: object) -> AsyncIterator[Gateway]:
    """Run a gateway for a while, even if NATS is down. `settings` override UNLIMITED."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    values: dict[str, Any] = {**UNLIMITED, **settings}
    service = Service(Settings(port=0, nats_url=nats_url, stream=stream, **values))
    gateway = Gateway(service, await service.start())
    try:
        yield gateway
        await gateway.disconnect_clients()
        await eventually(lambda: not service.replayer.running)
        assert leftovers(service) == {}
    finally:
        await service.stop()
    assert not service.failed.done()
    assert not faults, faults


@asynccontextmanager
async def running(nats_url: str, stream: str, **settings: object) -> AsyncIterator[Gateway]:
    """Run a gateway for a while, with its state loaded and a connection to publish on."""
    async with starting(nats_url, stream, **settings) as gateway:
        async with asyncio.timeout(PATIENCE):
            await gateway.service.ready()
        gateway.nats = await nats.connect(nats_url)
        gateway.publisher = Publisher(gateway.nats, stream)
        try:
            yield gateway
        finally:
            await gateway.nats.close()
