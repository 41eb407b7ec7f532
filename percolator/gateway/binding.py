"""Binding: from a host and a port to listening sockets."""

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from percolator.errors import PortInUseError

LISTEN_BACKLOG = 4_096
"""Connections that the kernel queues: all clients may come back at once."""
MISSING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of an address that this machine does not have, such as ::1 on one without IPv6."""

_Address = tuple[int, tuple[Any, ...]]
"""A family, and an address of it as the socket module has it."""


async def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on each address of a host that this machine has, all with the same port.

    `::` is IPv6 and IPv4 on one socket, and IPv4 alone on a machine without IPv6.
    Raises PortInUseError.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        everywhere = any(address[0] == "::" for _, address in addresses)
        if everywhere:
            addresses.append((socket.AF_INET, ("0.0.0.0", 0)))  # noqa: S104 - :: means this too
        return _bind(addresses, port, first=everywhere)
    except OSError as error:
        at = f"[{host}]" if ":" in host else host
        raise PortInUseError(
            f"the gateway cannot listen on {at}:{port} ({plain(error)}): {_remedy(error)}"
        ) from None


def _bind(addresses: Sequence[_Address], port: int, *, first: bool) -> list[socket.socket]:
    """Bind each address, or only the first that this machine has. Raises OSError."""
    bound: list[socket.socket] = []
    fault = OSError(errno.EADDRNOTAVAIL, "")
    for family, (host, _, *rest) in addresses:
        try:
            bound.append(_bind_one(family, (host, port, *rest)))
        except OSError as error:
            if error.errno in MISSING:
                fault = error
                continue
            for each in bound:
                each.close()
            raise
        if first:
            break
        port = bound[0].getsockname()[1]
    if not bound:
        raise fault
    return bound


def _bind_one(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the method's name explains the argument
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        sock.bind(address)
        sock.listen(LISTEN_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def plain(error: OSError) -> str:
    """Return the system's own words."""
    if isinstance(error, socket.gaierror):  # its numbers are not errnos
        return str(error.strerror)
    return os.strerror(error.errno) if error.errno else str(error)


def _remedy(error: OSError) -> str:
    """Return what to do: change the port if it is taken or reserved, else the address."""
    if error.errno == errno.EADDRINUSE:
        return "stop what is listening there, or choose another port with --port"
    return f"choose another with {'--port' if error.errno == errno.EACCES else '--host'}"
