"""What listens at an address: nothing, a NATS server, or something else. Needs no NATS client."""

import asyncio
import enum
from urllib.parse import urlsplit

DEFAULT_PORT = 4222
ANSWER_SECONDS = 1.0
"""Seconds a server has to greet."""
GREETING = b"INFO "
"""The first bytes from every NATS server, even if it requires TLS or a password next."""


class Listener(enum.Enum):
    """What listens at an address."""

    NOTHING = enum.auto()
    NATS = enum.auto()
    OTHER = enum.auto()


async def probe(url: str) -> Listener:
    """Return what listens at `url` (nats://HOST:PORT), within ANSWER_SECONDS."""
    reached = False
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        async with asyncio.timeout(ANSWER_SECONDS):
            port = parts.port or DEFAULT_PORT
            reader, writer = await asyncio.open_connection(parts.hostname, port)
            reached = True
            try:
                greeting = await reader.readexactly(len(GREETING))
            finally:
                writer.close()
    except (OSError, EOFError, ValueError):  # no or too short an answer, or an invalid address
        return Listener.OTHER if reached else Listener.NOTHING
    return Listener.NATS if greeting == GREETING else Listener.OTHER
