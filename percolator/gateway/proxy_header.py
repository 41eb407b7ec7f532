"""The PROXY protocol, versions 1 and 2: the header in which a TCP proxy names the client. No I/O.

It comes before everything else, TLS included. A connection has exactly one.
"""

import re
from ipaddress import IPv4Address, IPv6Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""The first bytes of version 2."""
PREFIX = b"PROXY "
"""The first bytes of version 1."""
MAX_V1_BYTES = 107
MAX_BYTES = 4_096
"""Bytes of a header of version 2: after the addresses, it may hold a client's certificate."""

_V2_BYTES = 16
"""Bytes of version 2 before the addresses."""
_V1 = re.compile(rb"PROXY TCP([46]) ([\da-fA-F:.]+) ([\da-fA-F:.]+) (\d{1,5}) (\d{1,5})\r\n")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: .*)?\r\n")
_MAX_PORT = 65_535
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES: dict[int, tuple[type[IPv4Address | IPv6Address], int]] = {
    0x11: (IPv4Address, 4),
    0x21: (IPv6Address, 16),
}
"""TCP over IPv4 and over IPv6 in version 2, with the bytes of an address."""


class ProxyHeaderError(Exception):
    """What a proxy sent first is not a PROXY header."""


def header_length(data: bytes) -> int | None:
    """Return the length of the header at the start of `data`, None while it is incomplete.

    While it is incomplete, all of the data belongs to it. Raises ProxyHeaderError.
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _length_v2(data)
    if not PREFIX.startswith(data[: len(PREFIX)]):
        raise ProxyHeaderError("neither version 1 nor version 2")
    end = data.find(b"\n", 0, MAX_V1_BYTES) + 1
    if not end and len(data) >= MAX_V1_BYTES:
        raise ProxyHeaderError("a line that is too long")
    return end or None


def _length_v2(data: bytes) -> int | None:
    if len(data) < _V2_BYTES:
        return None
    length = _V2_BYTES + int.from_bytes(data[14:16])
    if length > MAX_BYTES:
        raise ProxyHeaderError("more than is read")
    return length if len(data) >= length else None


def source(header: bytes) -> str | None:
    """Return the client's address in a whole header.

    None if there is none: the connection is the proxy's own, such as a health check, or of a
    family that has no addresses here. Raises ProxyHeaderError.
    """
    try:
        return _source_v2(header) if header.startswith(SIGNATURE) else _source_v1(header)
    except ValueError:
        raise ProxyHeaderError("an invalid address") from None


def _source_v1(header: bytes) -> str | None:
    if _V1_UNKNOWN.fullmatch(header):
        return None
    found = _V1.fullmatch(header)
    if found is None or max(int(found[4]), int(found[5])) > _MAX_PORT:
        raise ProxyHeaderError("a line of another form")
    address = IPv4Address if found[1] == b"4" else IPv6Address
    client, _ = address(found[2].decode()), address(found[3].decode())
    return str(client)


def _source_v2(header: bytes) -> str | None:
    if header[12] == _LOCAL:  # of whatever family
        return None
    family, transport = divmod(header[13], 16)
    if header[12] != _PROXY or family > 3 or transport > 2:  # noqa: PLR2004 - the format's
        raise ProxyHeaderError("an unknown version, command or family")
    if header[13] not in _FAMILIES:
        return None
    address, size = _FAMILIES[header[13]]
    addresses = header[_V2_BYTES:]
    if len(addresses) < 2 * size + 4:
        raise ProxyHeaderError("addresses that are cut off")
    return str(address(addresses[:size]))
