"""Tokens for tests of a gateway that requires them, and the ways of sending one."""

import json
import time
from base64 import urlsafe_b64encode

from percolator.auth import tokens
from tests.client import Client, Message
from tests.gateway import Gateway

SECRET = "a secret of thirty-two bytes or more"


def token(*channels: str, seconds: float = 60, secret: str = SECRET, ago: float = 0) -> str:
    """Mint a token for channels, as of `ago` seconds ago."""
    return tokens.mint(secret, channels or ("*",), now=time.time() - ago, seconds=seconds)


def unsigned() -> str:
    """Return a token that claims everything, with alg none."""
    claims = {"exp": time.time() + 60, "channels": ["*"]}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


async def authenticated(client: Client, good: str) -> Message:
    """Send a token in a message; return the answer."""
    client.send({"type": "auth", "token": good})
    return await client.receive()


async def by_message(gateway: Gateway, good: str) -> Client:
    """Authenticate with a message."""
    client = await gateway.client()
    client.send({"type": "auth", "token": good})
    return client


async def by_header(gateway: Gateway, good: str) -> Client:
    """Authenticate with a header, as programs do."""
    client = await gateway.handshake(headers={"Authorization": f"Bearer {good}"})
    await client.receive_until_type("connected")
    return client


async def by_query(gateway: Gateway, good: str) -> Client:
    """Authenticate with a query parameter, as browsers must."""
    client = await gateway.handshake(f"/ws?token={good}")
    await client.receive_until_type("connected")
    return client


WAYS = [by_message, by_header, by_query]
