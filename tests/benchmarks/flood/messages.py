"""Attacks by messages that cost the gateway more than they cost the attacker."""

import json
import os
from collections.abc import Iterable

from tests.benchmarks.flood.attack import UPGRADE, Attacks, Target, addresses
from tests.benchmarks.flood.swarm import Peer, Swarm
from tests.benchmarks.load import masked
from tests.client import upgrade

ATTACKER = "127.0.3.1"
EVERY = 0.1
PONG = masked(10, b"")
PONG_BYTES = 1_700_000
"""Bytes of pongs per second from each connection."""
PONGS = PONG * int(PONG_BYTES * EVERY / len(PONG))
READ_BYTES = 258_000
"""A little more than asyncio reads at once."""
PING = masked(1, b'{"type":"ping"}')
MARKETS = [f"M{number}" for number in range(50)]
WILD_MARKETS = 2_000
RECENT = 1_000
JUNK = b"".join(masked(1, os.urandom(16).hex().encode()) for _ in range(30)) + os.urandom(512)

ATTACKS = Attacks()


def message(**fields: object) -> bytes:
    """Return a message as a frame."""
    return masked(1, json.dumps(fields, separators=(",", ":")).encode())


def subscribe(channels: Iterable[str], **fields: object) -> bytes:
    """Return a subscribe as a frame."""
    return message(type="subscribe", channels=list(channels), **fields)


def _pongs(address: str) -> Peer:
    return Peer(address, UPGRADE, PONGS, EVERY)


@ATTACKS.add()
def pongs(target: Target) -> Swarm:
    """One connection sends 1.7 MB/s of pongs that the gateway has not asked for."""
    return Swarm(target.port, [_pongs(ATTACKER)])


@ATTACKS.add()
def pongs_of_five(target: Target) -> Swarm:
    """Five connections from five addresses send 1.7 MB/s of such pongs each."""
    return Swarm(target.port, [_pongs(address) for address in addresses("127.0.3", 5)])


@ATTACKS.add(settings={"auth": "true"})
def pongs_without_token(target: Target) -> Swarm:
    """One connection that has sent no token sends 1.7 MB/s of such pongs."""
    return Swarm(target.port, [_pongs(ATTACKER)])


@ATTACKS.add()
def bad_channels(target: Target) -> Swarm:
    """Five addresses send one subscribe with 300 bad channels, 10 per second each."""
    bad = subscribe(f"bad{number}" for number in range(300))
    peers = [Peer(each, UPGRADE, bad, 0.1) for each in addresses("127.0.3", 5)]
    return Swarm(target.port, peers)


@ATTACKS.add(fill={f"percolator.trade.{market}": RECENT for market in MARKETS})
def recent(target: Target) -> Swarm:
    """Five connections ask for the last 1,000 events of 50 channels, again and again."""
    channels = [f"trades:{market}" for market in MARKETS]
    ask = subscribe(channels, recent=RECENT)
    again = message(type="unsubscribe", channels=channels) + ask
    stays = Peer(ATTACKER, UPGRADE + ask, again, 1.0)
    returns = Peer(ATTACKER, UPGRADE + ask, lasts=1.0)
    return Swarm(target.port, [stays, stays, returns, returns, returns])


@ATTACKS.add()
def drip(target: Target) -> Swarm:
    """25 clients from five addresses send 29 messages per second each, and never stop."""
    peers = [Peer(each, UPGRADE, PING, 1 / 29) for each in addresses("127.0.3", 5) * 5]
    return Swarm(target.port, peers)


@ATTACKS.add()
def over_the_rate(target: Target) -> Swarm:
    """Five addresses hold five clients each over the rate, as long as each lasts, and come back."""
    peers = [Peer(each, UPGRADE, PING * 20, 0.2) for each in addresses("127.0.3", 5) * 5]
    return Swarm(target.port, peers)


@ATTACKS.add(fill={f"percolator.price.W{number}": 1 for number in range(WILD_MARKETS)})
def wildcards(target: Target) -> Swarm:
    """Five addresses leave and follow price:* with 2,000 markets, five times per second each."""
    again = message(type="unsubscribe", channels=["price:*"]) + subscribe(["price:*"])
    return Swarm(target.port, [Peer(each, UPGRADE, again, 0.2) for each in addresses("127.0.3", 5)])


@ATTACKS.add()
def early_close(target: Target) -> Swarm:
    """One address sends 258 kB whose beginning closes the connection, 10 times per second."""
    beginning = masked(1, b"{}") * 40
    opening = UPGRADE + beginning + PONG * ((READ_BYTES - len(beginning)) // len(PONG))
    return Swarm(target.port, [Peer(ATTACKER, opening, lasts=0.5)] * 5, 10)


@ATTACKS.add()
def attempts(target: Target) -> Swarm:
    """One address makes 200 connection attempts per second."""
    return Swarm(target.port, [Peer(ATTACKER, upgrade(), lasts=1.0)] * 200, 200)


@ATTACKS.add()
def garbage(target: Target) -> Swarm:
    """100 addresses send invalid messages until they are cut off, and connect again."""
    peers = [Peer(each, upgrade() + JUNK, lasts=10.0) for each in addresses("127.0.3", 100)]
    return Swarm(target.port, peers)
