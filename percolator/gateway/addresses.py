"""Addresses: the key that a connection is counted under.

Behind a trusted proxy, it is the rightmost address of X-Forwarded-For that is not itself a trusted
proxy; clients can forge what is left of it. IPv6 that contains IPv4 (mapped, 6to4, NAT64) counts as
that IPv4, and other IPv6 by /64, since a client usually has all of its /64. Many have a /56 or /48:
every limit per address also holds for those, at a multiple.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

Network = IPv4Network | IPv6Network

WIDER = ((56, 4), (48, 16))
"""The wider IPv6 networks that a client may have, with a multiple of each limit per address."""
_IPV6_KEY = "::/64"
"""The end of each key of an IPv6 network: its last 64 bits are 0."""
_NAT64 = IPv6Network("64:ff9b::/96")


class Tier(NamedTuple):
    """What a limit per address is counted under, and how often it has that limit."""

    key: str
    factor: int


def address_key(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the key that a connection is counted under.

    `peer` is the remote address of the socket; `forwarded_for` are the values of the
    X-Forwarded-For headers, in order. An address that does not parse is its own key.
    """
    address = _parse(peer)
    if address is not None and _is_trusted(address, trusted):
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        for hop in filter(str.strip, reversed(hops)):  # proxies add to an empty header: ", 1.2.3.4"
            behind = _parse(hop)
            if behind is None:
                break  # a trusted proxy writes valid addresses; anything further left may be forged
            address = behind
            if not _is_trusted(address, trusted):
                break
    key = _key(address) if address is not None else peer
    return peer if key == peer else key  # a connection keeps both: better one string than two


def tiers(key: str) -> tuple[Tier, ...]:
    """Return what a key is counted under: itself, then the wider networks of an IPv6 key."""
    return _tiers(key) if key.endswith(_IPV6_KEY) else (Tier(key, 1),)


@lru_cache(maxsize=4_096)  # an attack from one network asks for the same ones again
def _tiers(key: str) -> tuple[Tier, ...]:
    network = IPv6Network(key)
    wider = (Tier(str(network.supernet(new_prefix=bits)), factor) for bits, factor in WIDER)
    return (Tier(key, 1), *wider)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Return whether a peer is a trusted proxy: then its address is not the client's."""
    address = _parse(peer) if trusted else None
    return address is not None and _is_trusted(address, trusted)


@lru_cache(maxsize=4_096)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().strip('"')  # as in Forwarded, from which some proxies copy
    if text.startswith("["):  # [::1]:8080
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 1.2.3.4:8080
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    inside = _ipv4_in(address) if isinstance(address, IPv6Address) else None
    return inside or address


def _ipv4_in(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address of a client that has this IPv6 address because of it."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_trusted(address: IPv4Address | IPv6Address, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def _key(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
