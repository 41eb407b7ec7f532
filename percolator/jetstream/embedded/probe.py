"""Who listens at an address: nobody, a NATS server, or something else. Asked without a client."""

import asyncio
import enum
from urllib.parse import urlsplit

DEFAULT_PORT = 4222
ANSWER_SECONDS = 1.0
GREETING = b"INFO "
"""What every NATS server says first, also one that wants TLS or a password next."""


class Listener(enum.Enum):
    """What is at an address."""

    NOBODY = enum.auto()
    NATS = enum.auto()
    OTHER = enum.auto()


async def probe(url: str) -> Listener:
    """Tell who listens at `url` (nats://HOST:PORT); takes ANSWER_SECONDS at most."""
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
    except (OSError, EOFError, ValueError):  # no answer (in time), too short a one, no address
        return Listener.OTHER if reached else Listener.NOBODY
    return Listener.NATS if greeting == GREETING else Listener.OTHER
