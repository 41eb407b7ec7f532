"""A nats-server whose user has the permissions and limits that a test gives it."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nats
from nats.aio.client import Client

from tests.gateway import eventually
from tests.nats_server import NatsServer

PASSWORD = "x"
RELOADED = "Reloaded server configuration"
EVERYTHING = (">",)
ROOM = "max_file: 10GB, max_mem: 1GB"


class LimitedServer(NatsServer):
    """A server with one account and two users: `operator`, and `gateway`, who is limited."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "limits.conf"
        super().__init__(folder, "--config", str(self._config), jetstream=False)

    def permit(
        self,
        publish: Sequence[str] = EVERYTHING,
        subscribe: Sequence[str] = EVERYTHING,
        *,
        account: str = ROOM,
    ) -> None:
        """Set what the user may do, and the limits of the account."""
        allowed = (
            f"publish {{ allow: {_list(publish)} }}, subscribe {{ allow: {_list(subscribe)} }}"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            f'jetstream {{ store_dir: "{self.folder / "store"}" }}\n'
            f"accounts {{ TESTS {{ jetstream {{ {account} }}, users: [\n"
            f"  {{ user: operator, password: {PASSWORD} }}\n"
            f"  {{ user: gateway, password: {PASSWORD}, permissions {{ {allowed} }} }}\n"
            "] } }\n"
        )

    async def reload(self) -> None:
        """Make it read its configuration again; wait until it has."""
        before = self.log().count(RELOADED)
        self._running().send_signal(signal.SIGHUP)
        await eventually(lambda: self.log().count(RELOADED) > before)

    def login(self, user: str = "gateway") -> str:
        """The address with a user's login."""
        return self.url.replace("://", f"://{user}:{PASSWORD}@")

    async def operator(self) -> Client:
        """Log in as the operator."""
        return await nats.connect(self.login("operator"))


def _list(subjects: Sequence[str]) -> str:
    return json.dumps(list(subjects))


@contextmanager
def limited(
    folder: Path,
    publish: Sequence[str] = EVERYTHING,
    subscribe: Sequence[str] = EVERYTHING,
    *,
    account: str = ROOM,
) -> Iterator[LimitedServer]:
    """Run such a server."""
    server = LimitedServer(folder)
    server.permit(publish, subscribe, account=account)
    with server:
        yield server
