"""Attacks that hold what others need: sockets, places, replays, memory, and the trust in tokens."""

import asyncio
import select
import sys
import time

import nats

from percolator.jetstream.stream import definition
from tests.benchmarks.flood.attack import STREAM, UPGRADE, Attacks, Target, addresses
from tests.benchmarks.flood.honest import VISITOR
from tests.benchmarks.flood.messages import subscribe
from tests.benchmarks.flood.swarm import Peer, Swarm
from tests.benchmarks.stage import Server
from tests.client import upgrade
from tests.gateway import event_json

LOG_CAPACITY = 1_000
SLABS = {f"percolator.price.S{number}": 1 for number in range(2_000)}
MADE_UP = 20_000
MADE_UP_PER_STEP = 200
STEP_SECONDS = 0.05
RETENTION_SECONDS = 5

ATTACKS = Attacks()


def get(path: str) -> bytes:
    """Return the head of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@ATTACKS.add(
    fill={"percolator.trade.OLD": 20_000, "percolator.trade.SOL": LOG_CAPACITY + 500},
    back=LOG_CAPACITY + 200,
)
def slow_replays(target: Target) -> Swarm:
    """16 clients from four addresses resume from far back and read 4 kB/s."""
    opening = UPGRADE + subscribe(["trades:OLD"], since=0)
    peers = [Peer(each, opening, reads=4_096) for each in addresses("127.0.3", 4) * 4]
    return Swarm(target.port, peers)


@ATTACKS.add(tls=True)
def silent_tls(target: Target) -> Swarm:
    """5,000 sockets from 1,250 addresses connect to a TLS port and send nothing."""
    networks = [f"127.1.{number}" for number in range(5)]
    peers = [Peer(each) for network in networks for each in addresses(network, 250)]
    return Swarm(target.port, peers * 4, 2_000)


@ATTACKS.add(fill=SLABS)
def unread_markets(target: Target) -> Swarm:
    """800 clients from 200 addresses ask for /markets, 2,000 of them, and do not read."""
    peers = [Peer(each, get("/markets"), reads=0) for each in addresses("127.0.3", 200) * 4]
    return Swarm(target.port, peers, 400)


@ATTACKS.add(fill=SLABS)
def markets(target: Target) -> Swarm:
    """One address reads /markets, 2,000 of them, 100 times per second."""
    return Swarm(target.port, [Peer("127.0.3.1", get("/markets"))] * 100, 100)


@ATTACKS.add(fill=SLABS)
def markets_of_ten(target: Target) -> Swarm:
    """Ten addresses read /markets, 2,000 of them, 100 times per second together."""
    peers = [Peer(each, get("/markets")) for each in addresses("127.0.3", 10) * 10]
    return Swarm(target.port, peers, 100)


@ATTACKS.add(settings={"trusted_proxies": "127.0.0.0/8"})
def one_ipv6_network(target: Target) -> Swarm:
    """1,000 addresses of one IPv6 /48, each in another /64, open a connection behind a proxy."""
    forwarded = [f"2001:db8:1:{number:x}::1" for number in range(1_000)]
    openings = [upgrade(headers={"X-Forwarded-For": each}) for each in forwarded]
    return Swarm(target.port, [Peer("127.0.3.1", each) for each in openings], 1_700)


@ATTACKS.add(settings={"auth": "true"})
def wrong_tokens(target: Target) -> Swarm:
    """A page in an honest client's browser sends 20 requests per second with wrong tokens."""
    return Swarm(target.port, [Peer(VISITOR, get("/markets?token=wrong"))] * 20, 20)


class Publishing:
    """A publisher that makes up markets."""

    def __init__(self, nats_url: str) -> None:
        self._nats_url = nats_url

    def run(self) -> dict[str, int]:
        """Publish until all are out; wait until standard input ends."""
        published = asyncio.run(self._publish())
        select.select([sys.stdin], [], [])
        return {"published": published}

    async def _publish(self) -> int:
        client = await nats.connect(self._nats_url)
        payload = event_json("price")
        for start in range(0, MADE_UP, MADE_UP_PER_STEP):
            for number in range(start, start + MADE_UP_PER_STEP):
                await client.publish(f"percolator.price.FAKE{number}", payload)
            await client.flush()
            await asyncio.sleep(STEP_SECONDS)
        await client.close()
        return MADE_UP


def markets_left(server: Server) -> dict[str, int]:
    """Wait until the stream has dropped all events; count the markets that the gateway holds."""
    time.sleep(2 * RETENTION_SECONDS)
    return {"markets_left": len(server.get("/markets")["markets"])}


@ATTACKS.add(
    stream=definition(STREAM).evolve(max_age=RETENTION_SECONDS, duplicate_window=RETENTION_SECONDS),
    after=markets_left,
)
def made_up_markets(target: Target) -> Publishing:
    """A publisher makes up 20,000 markets; the stream keeps events for 5 s."""
    return Publishing(target.nats_url)
