"""Transports: what a gateway sets on asyncio's, and knows of them beyond their documentation."""

import asyncio
import socket
from collections.abc import Callable

READ_BYTES = 16_384
"""Bytes of one read: what a connection holds at most while it waits for its rate.

With TLS, asyncio reads up to 256 KiB at once, and stops reading once it holds more than this.
"""
NOTSENT_LOWAT = 16_384
"""Unsent bytes that the kernel accepts: more would hide a slow client for megabytes."""


def prepare(
    transport: asyncio.Transport, max_buffered_bytes: int | None
) -> Callable[[bytes], int] | None:
    """Set the limits of a new transport; return the `send` of its socket, None if it has TLS."""
    sock = transport.get_extra_info("socket")
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    if hasattr(transport, "max_size"):
        transport.max_size = READ_BYTES
    if hasattr(transport, "set_read_buffer_limits"):  # with TLS: encrypted bytes
        transport.set_read_buffer_limits(READ_BYTES)
    if max_buffered_bytes is not None:
        # One write is at most half of the limit, so that the two together never exceed it.
        transport.set_write_buffer_limits(high=max_buffered_bytes // 2, low=max_buffered_bytes // 8)
    if transport.get_extra_info("sslcontext"):
        return None
    send: Callable[[bytes], int] | None = getattr(getattr(sock, "_sock", None), "send", None)
    return send


def break_cycle(transport: asyncio.Transport) -> None:
    """Free a closed transport at once: asyncio's hold methods of their own.

    Otherwise all of them wait for the garbage collector, which then stops everything for up to
    100 ms when many clients come and go.
    """
    held = getattr(transport, "__dict__", {})
    for name in ("_read_ready_cb", "_write_ready"):
        held.pop(name, None)
