"""Three nats-servers on loopback that replicate a stream; tests kill, freeze and restart them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.errors import Error as JetStreamError

from percolator.jetstream.stream import definition
from tests.nats_server import LOOPBACK, NatsServer, ReservedPort

SIZE = 3
FORM_SECONDS = 30.0
"""Seconds for the cluster to form, or to elect a leader."""
ASK_SECONDS = 0.5


@dataclass(frozen=True)
class Cluster:
    """The servers by name."""

    servers: dict[str, NatsServer]

    @property
    def urls(self) -> list[str]:
        """The address of each server."""
        return [server.url for server in self.servers.values()]

    @property
    def url(self) -> str:
        """All addresses in the format of the setting."""
        return ",".join(self.urls)

    async def make_stream(self, client: Client, name: str, **fields: object) -> None:
        """Create the stream on all three servers, as soon as the cluster can."""
        config = definition(name).evolve(num_replicas=SIZE, **fields)
        async with asyncio.timeout(FORM_SECONDS):
            while True:
                try:
                    await client.jetstream(timeout=ASK_SECONDS * 4).add_stream(config)
                    break
                except (nats.errors.Error, JetStreamError):
                    await asyncio.sleep(ASK_SECONDS / 5)
            await self.leader(client, name)

    async def leader(self, client: Client, name: str) -> str:
        """Wait until the stream has a leader that answers; return its name."""
        async with asyncio.timeout(FORM_SECONDS):
            while True:
                try:
                    info = await client.jetstream(timeout=ASK_SECONDS).stream_info(name)
                except (nats.errors.Error, JetStreamError):
                    await asyncio.sleep(ASK_SECONDS / 5)
                    continue
                if info.cluster is not None and info.cluster.leader:
                    return info.cluster.leader
                await asyncio.sleep(ASK_SECONDS / 5)

    async def whole(self, client: Client, name: str) -> None:
        """Wait until all servers have the whole stream."""
        while True:
            with suppress(nats.errors.Error, JetStreamError):
                info = await client.jetstream(timeout=ASK_SECONDS).stream_info(name)
                replicas = (info.cluster and info.cluster.replicas) or []
                current = [each for each in replicas if each.current and not each.offline]
                if len(current) == SIZE - 1:
                    return
            await asyncio.sleep(ASK_SECONDS / 5)


@contextmanager
def cluster(folder: Path, *own_flags: str) -> Iterator[Cluster]:
    """Run three servers as a cluster, each with further flags."""
    names = [f"n{number}" for number in range(1, SIZE + 1)]
    with ExitStack() as stack:
        routes = [ReservedPort() for _ in names]
        for route in routes:
            stack.callback(route.release)
        known = ",".join(f"nats://{LOOPBACK}:{route.number}" for route in routes)
        servers = {}
        for name, route in zip(names, routes, strict=True):
            flags = (
                *("--name", name, "--cluster_name", "faults", "--routes", known),
                *("--cluster", f"nats://{LOOPBACK}:{route.number}"),
                *own_flags,
            )
            servers[name] = stack.enter_context(NatsServer(folder / name, *flags))
        yield Cluster(servers)
