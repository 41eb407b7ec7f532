"""Logins to NATS: from the address, percent-encoded, or from settings of their own."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from percolator.errors import NatsLoginError, NatsRefusedError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.gateway import eventually
from tests.nats_server import NatsServer

USER, PASSWORD = "al@ce", "h/u?n#t%e:r,2@"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS whose only user has a difficult password."""
    with NatsServer(tmp_path, "--user", USER, "--pass", PASSWORD, jetstream=False) as started:
        yield started


def with_login(server: NatsServer, password: str = PASSWORD) -> str:
    """The address of a server with the login in it."""
    login = f"{quote(USER, safe='')}:{quote(password, safe='')}"
    return server.url.replace("://", f"://{login}@")


async def test_any_password_can_be_written_into_the_address(server: NatsServer) -> None:
    """Percent-encoded, as for other programs."""
    client = await connect(NatsAddress(with_login(server)), name="test", reconnect=False)
    await client.flush()
    await client.close()


async def test_user_and_password_may_come_from_settings_of_their_own(server: NatsServer) -> None:
    """They are sent as they are, to whichever server answers."""
    url = f"nats://127.0.0.1:1,{server.url}"
    address = NatsAddress(url, user=USER, password=PASSWORD)
    client = await connect(address, name="test", reconnect=False)
    await client.flush()
    await client.close()
    assert PASSWORD not in repr(address)


async def test_each_server_of_a_list_gets_its_own_login(server: NatsServer, tmp_path: Path) -> None:
    """A password, and a token; whichever server a client connects to, and reconnects to."""
    with NatsServer(tmp_path / "other", "--auth", "t:o@k", jetstream=False) as other:
        token = other.url.replace("://", f"://{quote('t:o@k', safe='')}@")
        address = NatsAddress(f"{with_login(server)},{token}")
        client = await connect(address, name="test", reconnect=True)
        for _ in range(2):
            url = client.connected_url
            assert url is not None
            first = server if url.port == server.port else other
            reconnects = client.stats["reconnects"]
            first.terminate()
            await eventually(lambda: client.stats["reconnects"] > reconnects)  # noqa: B023
            first.start()
        await client.close()


@pytest.mark.parametrize("with_user", [True, False])
async def test_a_wrong_login_says_what_to_check(server: NatsServer, *, with_user: bool) -> None:
    """And shows nothing of it."""
    wrong = NatsAddress(server.url, user=USER, password="hunter2")
    address = wrong if with_user else NatsAddress(with_login(server, "hunter2"))
    with pytest.raises(NatsRefusedError) as raised:
        await connect(address, name="test", reconnect=False)
    assert str(raised.value) == (
        f"NATS at {server.url} cannot be reached: Authorization Violation; check nats_user and "
        "nats_password, nats_creds, nats_token or the login in nats_url"
    )


async def test_a_missing_login_says_what_to_set(server: NatsServer) -> None:
    """A gateway on the same machine may have started the server."""
    with pytest.raises(NatsLoginError, match="set nats_user and nats_password, nats_token"):
        await connect(NatsAddress(server.url), name="test", reconnect=False)


async def test_each_server_is_reported_with_its_own_error(server: NatsServer) -> None:
    """Not only the first one; without the logins."""
    urls = ("nats://me:hunter2@127.0.0.1:1", with_login(server, "hunter2"), "nats://no.invalid:1")
    with pytest.raises(NatsRefusedError) as raised:
        await connect(NatsAddress(",".join(urls)), name="test", reconnect=False)
    said = str(raised.value)
    assert said.startswith(
        "NATS cannot be reached at any of its servers: nats://127.0.0.1:1 (nothing answers there), "
        f"{server.url} (Authorization Violation), nats://no.invalid:1 (its name is unknown ("
    )
    assert "hunter2" not in said
