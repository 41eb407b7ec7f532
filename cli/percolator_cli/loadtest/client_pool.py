"""The clients of a load test: opens their connections and counts those that were refused."""

import asyncio
import errno
import socket
import ssl
import time
from collections import Counter

from percolator import openssl
from percolator.client.address import GatewayAddress
from percolator_cli.gateway import unreachable
from percolator_cli.loadtest import wire
from percolator_cli.loadtest.histogram import Histogram
from percolator_cli.loadtest.load_client import LoadClient
from percolator_cli.loadtest.measured import Refusal
from percolator_cli.loadtest.reference import Reference

OPEN_SECONDS = 10.0
"""Seconds from a connection's first packet to the reply to its subscribe."""
MAX_OPENING = 32
"""Maximum number of connections that are being opened at the same time."""
READ_BYTES = 262_144
"""Size of the read buffer that all clients share."""


class ClientPool:
    """All connections to one gateway."""

    def __init__(self, gateway: GatewayAddress, token: str | None) -> None:
        self.open: list[LoadClient] = []
        self.handshakes = Histogram()
        """Times from the first packet to the response to the upgrade."""
        self.refusals: Counter[Refusal] = Counter()
        self.one_address = False
        """True if this machine does not allow many source addresses."""
        self._gateway = gateway
        self._token = token
        self._buffer = bytearray(READ_BYTES)
        self._room = asyncio.Semaphore(MAX_OPENING)
        self._tls = ssl.create_default_context() if gateway.secure else None
        self._peer: tuple[socket.AddressFamily, str] | None = None

    async def resolve(self) -> None:
        """Resolve the gateway's host name. Raises GatewayUnreachableError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._gateway.host, self._gateway.port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise unreachable(self._gateway, error) from None
        found.sort(key=lambda each: each[0] != socket.AF_INET)
        family, _, _, _, address = found[0]
        self._peer = family, str(address[0])

    @property
    def connected(self) -> list[LoadClient]:
        """The clients that are still connected."""
        return [client for client in self.open if client.ended is None]

    @property
    def ends(self) -> Counter[Refusal]:
        """How the connections of the others ended, with counts."""
        return Counter(client.ended for client in self.open if client.ended)

    async def add(
        self, channels: list[str], source: str | None, reference: Reference, since: int | None
    ) -> None:
        """Connect one more client, or count why it was refused. `since` is as in its reader."""
        async with self._room:
            started = time.perf_counter()
            request = wire.upgrade(self._gateway, self._token)
            client = LoadClient(self._buffer, channels, reference, request)
            client.reader.since = since
            refusal = await self._connect(client, source)
        if client.opened:
            self.handshakes.add(client.opened - started)
        if refusal is None:
            self.open.append(client)
        else:
            self.refusals[refusal] += 1

    async def _connect(self, client: LoadClient, source: str | None) -> Refusal | None:
        assert self._peer is not None
        family, address = self._peer
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: client,
                    address,
                    self._gateway.port,
                    family=family,
                    ssl=self._tls,
                    server_hostname=self._gateway.host if self._tls else None,
                    local_addr=(source, 0) if source and not self.one_address else None,
                )
                return await client.settled
        except TimeoutError:
            client.end(Refusal("timeout", f"no answer in {OPEN_SECONDS:g} s"))
            if hasattr(client, "transport"):
                client.transport.abort()
            return client.ended
        except ssl.SSLError as error:
            client.end(Refusal("TLS", openssl.reason(error)))
            return client.ended
        except OSError as error:
            if source and error.errno == errno.EADDRNOTAVAIL:
                self.one_address = True
                return await self._connect(client, None)
            client.end(Refusal("TCP", (error.strerror or str(error)).lower()))
            return client.ended

    @property
    def heartbeats(self) -> int:
        """Heartbeats that all clients got."""
        return sum(client.heartbeats for client in self.open)

    @property
    def stale(self) -> float:
        """For how many seconds a client was told that the feed is stale, at most."""
        now = time.perf_counter()
        return max((client.stale_for(now) for client in self.open), default=0.0)

    def close(self) -> None:
        """Close all connections with a close frame."""
        for client in self.connected:
            client.transport.write(wire.closing())
            client.transport.close()
