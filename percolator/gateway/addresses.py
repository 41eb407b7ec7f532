"""Addresses: the key that a connection is counted under.

Behind a trusted proxy, it is the rightmost address of X-Forwarded-For that is not itself a trusted
proxy; clients can forge what is left of it. IPv4-mapped IPv6 counts as IPv4, and IPv6 by /64, since
a client usually has all of its /64.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def address_key(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the key that a connection is counted under.

    `peer` is the remote address of the socket; `forwarded_for` are the values of the
    X-Forwarded-For headers, in order. An address that does not parse is its own key.
    """
    address = _parse(peer)
    if address is not None and _is_trusted(address, trusted):
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        for hop in reversed(hops):
            behind = _parse(hop)
            if behind is None:
                break  # a trusted proxy writes valid addresses; anything further left may be forged
            address = behind
            if not _is_trusted(address, trusted):
                break
    key = _key(address) if address is not None else peer
    return peer if key == peer else key  # a connection keeps both: better one string than two


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if text.startswith("["):  # [::1]:8080
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 1.2.3.4:8080
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: IPv4Address | IPv6Address, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def _key(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
