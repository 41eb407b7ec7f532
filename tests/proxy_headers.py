"""PROXY protocol headers as proxies write them."""

from ipaddress import ip_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TO = {4: "127.0.0.1", 6: "::1"}
"""Where the client of a header has connected to, by version of IP."""


def v1(client: str) -> bytes:
    """Return a header of version 1 for a client."""
    version = ip_address(client).version
    return f"PROXY TCP{version} {client} {TO[version]} 4711 3001\r\n".encode()


def v2(client: str, more: bytes = b"") -> bytes:
    """Return a header of version 2 for a client; `more` follows the addresses."""
    source = ip_address(client)
    ports = (4_711).to_bytes(2) + (3_001).to_bytes(2)
    addresses = source.packed + ip_address(TO[source.version]).packed + ports
    return v2_of(0x21, 0x11 if source.version == 4 else 0x21, addresses + more)


def v2_of(command: int, family: int, rest: bytes) -> bytes:
    """Return a header of version 2 of any command and family."""
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2) + rest


OWN = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with addresses": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "v2 LOCAL": v2_of(0x20, 0x00, b""),
    "v2 LOCAL with an address": v2_of(0x20, 0x11, bytes(12)),
    "v2 LOCAL of an unknown family": v2_of(0x20, 0xFF, b"x"),
    "v2 UNSPEC": v2_of(0x21, 0x00, b""),
    "v2 UNIX": v2_of(0x21, 0x31, bytes(216)),
    "v2 UDP": v2_of(0x21, 0x12, bytes(12)),
}
"""Headers that name no client: of a proxy's health checks, and of what it cannot name."""

INVALID = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x05hello",
    "another case": b"proxy TCP4 1.2.3.4 127.0.0.1 1 2\r\n",
    "no carriage return": b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\n",
    "another family": b"PROXY TCP5 1.2.3.4 127.0.0.1 1 2\r\n",
    "UDP": b"PROXY UDP4 1.2.3.4 127.0.0.1 1 2\r\n",
    "an address of the other family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "an address of the other family, 6": b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    "a number that is too large": b"PROXY TCP4 1.2.3.256 127.0.0.1 1 2\r\n",
    "a port that is too large": b"PROXY TCP4 1.2.3.4 127.0.0.1 65536 2\r\n",
    "no ports": b"PROXY TCP4 1.2.3.4 127.0.0.1\r\n",
    "two spaces": b"PROXY TCP4  1.2.3.4 127.0.0.1 1 2\r\n",
    "a scope": b"PROXY TCP6 fe80::1%x ::1 1 2\r\n",
    "UNKNOWNS": b"PROXY UNKNOWNS\r\n",
    "a long line": b"PROXY UNKNOWN " + b"x" * 93,
    "version 1 in version 2": v2_of(0x11, 0x11, bytes(12)),
    "an unknown command": v2_of(0x22, 0x11, bytes(12)),
    "an unknown family": v2_of(0x21, 0x41, bytes(12)),
    "an unknown transport": v2_of(0x21, 0x13, bytes(12)),
    "addresses that are cut off": v2_of(0x21, 0x11, bytes(11)),
    "IPv6 addresses that are cut off": v2_of(0x21, 0x21, bytes(35)),
    "an oversized header": v2_of(0x21, 0x11, bytes(4_081)),
    "a broken signature": b"\r\n\r\n\x00\r\nQUIT\r\n",
}
"""What no proxy may send first."""
