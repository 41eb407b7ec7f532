"""A nats-server with nats/nats-server.conf, its users, and gateways that log in to it.

Besides the users of the file there are those that its comments show how to add: `edge`, a gateway
in an account of its own, `maker`, another publisher, and `operator`, who may change the stream.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from percolator.jetstream.publisher import Publisher
from tests.gateway import Gateway, running
from tests.nats_server import NatsServer

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "nats" / "nats-server.conf"
PASSWORDS = {
    "NATS_GATEWAY_PASSWORD": "agateway",
    "NATS_PUBLISHER_PASSWORD": "apublisher",
    "NATS_SYSTEM_PASSWORD": "asystem",
}
ADDED = {
    "NATS_EDGE_PASSWORD": "aedge",
    "NATS_MAKER_PASSWORD": "amaker",
    "NATS_OPERATOR_PASSWORD": "aoperator",
}


def with_more_users(text: str) -> str:
    """Do what the comments of the file say: add a gateway's account, a publisher, an operator."""
    block = re.search(r"\n  GATEWAYS \{\n.*?\n  \}\n", text, re.DOTALL)
    assert block
    edge = block[0]
    for name, other in (("GATEWAYS", "EDGE"), ("GATEWAY", "EDGE"), ("gateway", "edge")):
        edge = edge.replace(name, other)
    export = '{ stream: "gateway.deliver.>" }'
    text = text.replace(block[0], block[0] + edge).replace(
        export, f"{export}\n{export.replace('gateway', 'edge')}", 1
    )
    text = re.sub(r"#( +users: \[ \{ user: operator)", r"\1", text)
    return re.sub(
        r"      # \{\n.*?      # \}\n",
        lambda maker: maker[0].replace("      # ", "      "),
        text,
        flags=re.DOTALL,
    )


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[NatsServer]:
    """Run a nats-server with all users. The passwords must be in the environment."""
    with NatsServer(folder, "--config", str(write_config(folder))) as started:
        yield started


def set_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the passwords of all users into the environment."""
    for name, password in (PASSWORDS | ADDED).items():
        monkeypatch.setenv(name, password)


def write_config(folder: Path) -> Path:
    """Write the configuration with all users."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats-server.conf"
    config.write_text(with_more_users(CONFIG.read_text()))
    return config


def login(server: NatsServer, user: str) -> str:
    """Return the URL with a user's name and password."""
    return f"nats://{user}:a{user}@127.0.0.1:{server.port}"


@contextlib.asynccontextmanager
async def deployed(
    server: NatsServer, user: str = "gateway", **settings: object
) -> AsyncIterator[Gateway]:
    """Run a gateway for a while; the test publishes with the publisher's login."""
    values = {"nats_prefix": user, **settings}
    async with running(login(server, user), "PERCOLATOR", **values) as started:
        await started.nats.close()
        address = NatsAddress(login(server, "publisher"), prefix="publisher")
        started.nats = await connect(address, name="test", reconnect=True)
        started.publisher = Publisher(started.nats, "PERCOLATOR")
        yield started


class User:
    """A connection as a NATS user; what it heard, and the errors that the server has sent to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = Client()
        self.violations: list[str] = []
        self.heard: list[Msg] = []

    async def log_in(self, server: NatsServer) -> None:
        """Connect."""

        async def record(error: Exception) -> None:
            self.violations.append(str(error))

        await self.client.connect(
            login(server, self.name), error_cb=record, inbox_prefix=f"_INBOX.{self.name}"
        )

    async def listen(self, subject: str) -> None:
        """Record what arrives on a subject."""

        async def record(message: Msg) -> None:
            self.heard.append(message)

        await self.client.subscribe(subject, cb=record)
        await self.client.flush()

    async def request(self, subject: str, body: bytes = b"") -> bytes:
        """Send a request; return the answer. Raises if there is none, or if it is refused."""
        before = len(self.violations)
        reply = self.client.new_inbox()
        answers = await self.client.subscribe(reply)
        await self.client.publish(subject, body, reply=reply)
        await self.settle()
        if len(self.violations) > before:
            raise PermissionError(self.violations[-1])
        message = await answers.next_msg(timeout=2)
        if (message.headers or {}).get("Status") == "503":
            raise nats.errors.NoRespondersError
        return message.data

    async def settle(self) -> None:
        """Wait until the server has handled what was sent, and sent its complaints."""
        for _ in range(2):  # the error may overtake what was written before it
            await self.client.flush()


@contextlib.asynccontextmanager
async def logged_in(server: NatsServer, name: str) -> AsyncIterator[User]:
    """Log in for the length of a block."""
    user = User(name)
    await user.log_in(server)
    try:
        yield user
    finally:
        await user.client.close()
