"""A gateway for tests: the real Service in this process, on a port and a stream of its own.

When it ends it is looked at: every client is let go, and then each of its counters must be zero.
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
    "messages_per_second": 0,
    "drain_seconds": 2,
}
"""A test opens many connections from one address; those who test these limits set them."""


class Gateway:
    """A running gateway, its clients, and a way to publish to its stream."""

    nats: NatsClient
    """A connection of the test's own."""
    publisher: Publisher

    def __init__(self, service: Service, addresses: Addresses) -> None:
        self.service = service
        self.port = addresses.port
        self._clients: list[Client] = []

    async def dial(self, **where: Any) -> Client:  # noqa: ANN401 - as Client.dial
        """Open a socket, and say nothing."""
        client = await Client.dial("127.0.0.1", self.port, **where)
        self._clients.append(client)
        return client

    async def knock(
        self,
        path: str = "/ws",
        headers: Mapping[str, str] | None = None,
        **where: Any,  # noqa: ANN401 - as Client.dial
    ) -> Client:
        """Ask for an upgrade, and wait until it was answered with 101."""
        client = await self.dial(**where)
        client.write(upgrade(path, headers))
        return await client.opened()

    async def client(self, *channels: str, **where: Any) -> Client:  # noqa: ANN401 - as Client.dial
        """Connect, wait for the greeting, and subscribe where channels are named."""
        client = await self.knock(**where)
        greeting = await client.receive()
        assert greeting["type"] == "connected"
        if channels:
            await client.subscribed(*channels)
        return client

    async def clients(self, count: int, *channels: str) -> list[Client]:
        """Connect some alike, all at once."""
        return await asyncio.gather(*(self.client(*channels) for _ in range(count)))

    async def publish(self, kind: str, slab: str, **fields: object) -> int:
        """Publish one event, with what fields it needs besides those given; give its seq."""
        return await self.publish_raw(subject_of(kind, slab), event_json(kind, **fields))

    async def publish_raw(self, subject: str, payload: bytes) -> int:
        """Publish anything; give its seq."""
        return await self.publisher.publish(subject, payload)

    async def has_read(self, seq: int) -> None:
        """Wait until the gateway has read the stream up to a seq."""
        await eventually(lambda: self.service.hub.book.seq >= seq)

    async def request(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send bytes, and give status, headers and body of the answer; nothing at all is 0."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
        finally:
            writer.close()
        return parse_answer(answer)

    async def get(self, path: str, headers: str = "") -> tuple[int, dict[str, str], bytes]:
        """Send a GET; give status, headers and body."""
        return await self.request(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())

    async def get_json(self, path: str) -> Message:
        """Send a GET that must succeed; give the JSON."""
        status, _, body = await self.get(path)
        assert status == 200, (status, body)
        found: Message = json.loads(body)
        return found

    async def stats(self) -> Message:
        """Give `/ws/stats`."""
        return await self.get_json("/ws/stats")

    async def dismiss(self) -> None:
        """End all clients, and wait until the gateway has seen it."""
        for client in self._clients:
            client.abort()
        await eventually(lambda: not self.service.gateway.connections)


def event_json(kind: str, **fields: object) -> bytes:
    """Give an event of a kind as JSON; what is not given is filled in."""
    usual: dict[str, Message] = {
        "price": {"price": 1.5},
        "trade": {"side": "long", "size": "1000000", "price": 1.5},
        "funding": {"rate": "0.0001"},
        "liquidation": {"side": "short", "size": "2", "price": 1.4},
    }
    return json.dumps({**usual[kind], "timestamp": 1_234_567_890_123, **fields}).encode()


def parse_answer(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Take an HTTP answer apart; header names in lower case."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    return int(line.split()[1]), headers, body


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that nobody tells us of."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(POLL_SECONDS)


def what_is_held(service: Service) -> dict[str, Any]:
    """Say what a service still holds for clients; with none there, it must be nothing at all."""
    hub, admission, heartbeat = service.hub, service.admission, service.heartbeat
    held = {
        "connections": len(service.gateway.connections),
        "places": admission.places.total,
        "places by address": admission.places.by_address,
        "clients by slab": service.slab_limits.clients,
        "groups": len(hub._groups),
        "behind": hub.paused,
        "followers": [log.channel for log in hub.book.logs.values() if log.followers],
        "empty logs": [log.channel for log in hub.book.logs.values() if log.is_blank],
        "pongs awaited": len(heartbeat._waiting),
        "replays": service.replayer.running,
    }
    return {name: what for name, what in held.items() if what}


@asynccontextmanager
async def starting(nats_url: str, stream: str, **settings: object) -> AsyncIterator[Gateway]:
    """Run a gateway for a while, whether or not NATS is there. `settings` go over UNLIMITED."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    values: dict[str, Any] = {**UNLIMITED, **settings}
    service = Service(Settings(port=0, nats_url=nats_url, stream=stream, **values))
    gateway = Gateway(service, await service.start())
    try:
        yield gateway
        await gateway.dismiss()
        await eventually(lambda: not service.replayer.running)
        assert what_is_held(service) == {}
    finally:
        await service.stop()
    assert not service.failed.done()
    assert not faults, faults


@asynccontextmanager
async def running(nats_url: str, stream: str, **settings: object) -> AsyncIterator[Gateway]:
    """Run a gateway for a while, with its state loaded, and with a connection to publish by."""
    async with starting(nats_url, stream, **settings) as gateway:
        async with asyncio.timeout(PATIENCE):
            await gateway.service.ready()
        gateway.nats = await nats.connect(nats_url)
        gateway.publisher = Publisher(gateway.nats, stream)
        try:
            yield gateway
        finally:
            await gateway.nats.close()
